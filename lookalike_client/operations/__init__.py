"""The operations of the service: one function each, which describes its request."""
