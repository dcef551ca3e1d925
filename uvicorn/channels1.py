"""What consumers of Channels 1 import beside routes: see `uvicorn.applications.channels1`."""

from uvicorn.applications.channels1 import AsgiHandler, BaseConsumer, channel_session

__all__ = ["AsgiHandler", "BaseConsumer", "channel_session"]
