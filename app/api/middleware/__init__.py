"""ASGI middleware.

Outermost first: headers, behind_proxy, context, CORS, failures, head, behind_proxy's redirect, query, access,
rate_limit, media_types, body_limit, admission, idempotency.
"""
