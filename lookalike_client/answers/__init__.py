"""Typed answers, named as in the OpenAPI document, without a final ``Shape``."""
