"""Class-based consumers."""

from uvicorn.channels1.generic.base import BaseConsumer

__all__ = ["BaseConsumer"]
