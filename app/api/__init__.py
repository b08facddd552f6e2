"""HTTP only: routers, schemas, middleware, problem+json."""
