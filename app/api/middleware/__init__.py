"""ASGI middleware.

Outermost first: context, head, CORS, query, access, admission, media_types, body_limit,
idempotency.
"""
