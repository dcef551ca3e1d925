"""Which sites may open sockets: decorators for the consumers of websocket.connect."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any
from urllib.parse import urlsplit

from uvicorn.channels1.exceptions import DenyConnection

__all__ = ["AllowedHostsOnlyOriginValidator", "BaseOriginValidator", "allowed_hosts_only"]


class BaseOriginValidator:
    """The base of decorators that look at the Origin of a socket; one without an Origin is refused.

    A subclass has `validate_origin(message, origin)`, which says whether it is allowed.
    """

    def __init__(self, func: Callable[..., Any]) -> None:
        update_wrapper(self, func)
        self.func = func

    def __call__(self, message: Any, *args: Any, **kwargs: Any) -> Any:
        if not self.validate_origin(message, self.get_origin(message)):
            raise DenyConnection("the Origin of the socket is not allowed")
        return self.func(message, *args, **kwargs)

    def get_header(self, message: Any, name: bytes) -> list[Any]:
        """Return the values of a header field. Raises: KeyError if there is none."""
        for field in message.content["headers"]:
            if field and field[0] == name:
                return list(field[1:])
        raise KeyError(f"there is no header {name!r}")

    def get_origin(self, message: Any) -> str:
        """Return the Origin. Raises: DenyConnection if there is none, or it is not ASCII."""
        try:
            value = self.get_header(message, b"origin")[0]
            return str(value, "ascii")
        except (KeyError, IndexError, UnicodeDecodeError):
            raise DenyConnection("the socket has no Origin") from None

    def validate_origin(self, message: Any, origin: str) -> bool:
        """Say whether an Origin is allowed."""
        raise NotImplementedError(f"{type(self).__name__} must have a method validate_origin(message, origin)")


class AllowedHostsOnlyOriginValidator(BaseOriginValidator):
    """Refuses the sockets of pages whose host is not in Django's ALLOWED_HOSTS."""

    def validate_origin(self, message: Any, origin: str) -> bool:
        """Say whether the host is in ALLOWED_HOSTS; with DEBUG and none there, whether it is this machine."""
        from django.conf import settings
        from django.http.request import validate_host

        allowed = settings.ALLOWED_HOSTS
        if settings.DEBUG and not allowed:
            allowed = [".localhost", "127.0.0.1", "[::1]"]
        try:
            host = urlsplit(origin).hostname
        except ValueError:
            return False
        if not host:
            return False
        return bool(validate_host(f"[{host}]" if ":" in host else host, allowed))


allowed_hosts_only = AllowedHostsOnlyOriginValidator
