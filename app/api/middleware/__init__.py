"""ASGI middleware, outermost first: request context, CORS, access, admission, body limits."""
