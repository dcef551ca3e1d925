"""Delayed messages: the layer keeps them, so this application has no models and needs no process of its own.

Send `{"channel": ..., "content": ..., "delay": milliseconds}` to the channel `asgi.delay`, as before.
"""
