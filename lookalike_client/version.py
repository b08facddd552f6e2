"""Version of the client: that of the service it is released with."""

__version__ = "0.2.0"
