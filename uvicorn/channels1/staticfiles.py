"""Static files beside Django's views, for development: what Django's own runserver does."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlparse

from django.contrib.staticfiles.handlers import StaticFilesHandlerMixin

from uvicorn.channels1.handler import AsgiHandler, ViewConsumer

__all__ = ["StaticFilesConsumer", "StaticFilesHandler"]


class StaticFilesHandler(StaticFilesHandlerMixin, AsgiHandler):  # type: ignore[misc]  # Django has no types
    """Django's views, with the static files in front of them."""

    def __init__(self) -> None:
        super().__init__()
        self.base_url = urlparse(self.get_base_url())

    def load_middleware(self, is_async: bool = False) -> None:
        """Load it: the views are served here, too."""
        AsgiHandler.load_middleware(self, is_async)

    def get_response(self, request: Any) -> Any:
        """Return the file, or what the view says."""
        if self._should_handle(request.path):
            return super().get_response(request)
        return AsgiHandler.get_response(self, request)


class StaticFilesConsumer(ViewConsumer):
    """A consumer that has static files and Django's views answer."""

    handler_class = StaticFilesHandler
