"""Data binding: groups hear of changes of models, and sockets change them."""

from uvicorn.channels1.binding.base import Binding

__all__ = ["Binding"]
