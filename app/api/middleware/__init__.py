"""ASGI middleware, outermost first: context, head, CORS, query, access, admission, body_limit, idempotency."""
