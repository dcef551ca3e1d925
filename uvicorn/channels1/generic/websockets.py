"""Class-based consumers of sockets, and of several streams on one socket."""

from uvicorn.channels1.generic.multiplexing import WebsocketDemultiplexer, WebsocketMultiplexer
from uvicorn.channels1.generic.sockets import JsonWebsocketConsumer, WebsocketConsumer

__all__ = ["JsonWebsocketConsumer", "WebsocketConsumer", "WebsocketDemultiplexer", "WebsocketMultiplexer"]
