"""Tests of consumers, without a server: `ChannelTestCase`, `WSClient`."""

from typing import Any

from uvicorn.channels1.test.base import ChannelTestCase, Client, TransactionChannelTestCase, apply_routes
from uvicorn.channels1.test.websocket import WSClient
from uvicorn.channels1.test.websocket import WSClient as HttpClient

__all__ = ["ChannelTestCase", "Client", "HttpClient", "TransactionChannelTestCase", "WSClient", "apply_routes"]


def __getattr__(name: str) -> Any:
    if name == "ChannelLiveServerTestCase":
        raise ImportError(
            "ChannelLiveServerTestCase is not there: start `uvicorn --channels1` with the settings of the test, as the "
            "page on moving a Channels 1 project shows"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
