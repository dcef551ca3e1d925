"""`HttpClient`: the older name of `WSClient`."""

from uvicorn.channels1.test.websocket import WSClient as HttpClient

__all__ = ["HttpClient"]
