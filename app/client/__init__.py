"""A typed client of the HTTP surface; imports httpx only."""
