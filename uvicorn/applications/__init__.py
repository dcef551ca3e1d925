"""WSGI and ASGI applications as consumers: adapters over the message interface."""
