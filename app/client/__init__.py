"""A typed client of the HTTP surface, synchronous and asynchronous; imports httpx2 only."""

from app.client.client import AsyncClient, Client, FileToAdd, ServiceError

__all__ = ["AsyncClient", "Client", "FileToAdd", "ServiceError"]
