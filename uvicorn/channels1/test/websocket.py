"""`WSClient`: a client with headers, cookies, a session and a login."""

from __future__ import annotations

import copy
import json as json_module
from collections.abc import Mapping
from http.cookies import SimpleCookie
from types import SimpleNamespace
from typing import Any

from django.apps import apps
from django.conf import settings

from uvicorn.channels1.session_decorators import session_for_reply_channel
from uvicorn.channels1.test.base import Client

__all__ = ["WSClient"]


class WSClient(Client):
    """A client that sends what a browser sends.

    Args:
        ordered: number the messages, in `order`.
        kwargs: as for `Client`.
    """

    def __init__(self, ordered: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.order = 0
        self._is_ordered = ordered
        self._session: Any = None
        self._headers: dict[str, Any] = {}
        self._cookies: dict[str, str] = {}
        self._session_cookie = True  # in the first message

    def set_cookie(self, key: str, value: str) -> None:
        """Set a cookie."""
        self._cookies[key] = value

    def set_header(self, key: str, value: Any) -> None:
        """Set a header field. Raises: ValueError for that of the cookies."""
        if key == "cookie":
            raise ValueError("cookies are set with set_cookie")
        self._headers[key] = value

    def get_cookies(self) -> dict[str, str]:
        """Return the cookies that the next message has."""
        cookies = dict(self._cookies)
        if self._session_cookie and apps.is_installed("django.contrib.sessions"):
            cookies[settings.SESSION_COOKIE_NAME] = self.session.session_key
        return cookies

    @property
    def headers(self) -> dict[str, Any]:
        """The header fields that the next message has."""
        cookies: SimpleCookie = SimpleCookie(self.get_cookies())
        encoded = "; ".join(f"{name}={morsel.coded_value}" for name, morsel in cookies.items())
        return {"cookie": encoded.encode("ascii"), **copy.deepcopy(self._headers)}

    @property
    def session(self) -> Any:
        """The session of this client. Raises: OSError if Django has none."""
        if not apps.is_installed("django.contrib.sessions"):
            raise OSError("a client has a session with 'django.contrib.sessions' in INSTALLED_APPS only")
        if self._session is None:
            self._session = session_for_reply_channel(self.reply_channel)
            if not self._session.exists(self._session.session_key):
                self._session.save(must_create=True)
        return self._session

    def receive(self, json: bool = True) -> Any:
        """Return the next reply, or its text if it has one, read as JSON if `json` is set; None if there is none."""
        content = super().receive()
        if not content:
            return None
        text = content.get("text", content)
        return json_module.loads(text) if json and isinstance(text, str) else text

    def send(self, to: str, content: Mapping[str, Any] | None = None, text: Any = None, path: str = "/") -> None:
        """Send a message to a channel.

        Args:
            text: of the message; what is no str is sent as JSON.
            path: with the query, for a websocket.connect.
        """
        path, _, query = path.partition("?")
        made = copy.deepcopy(dict(content or {}))
        made.setdefault("path", path)
        if query and to == "websocket.connect":
            made.setdefault("query_string", query)
        made.setdefault("headers", self.headers)
        if self._is_ordered:
            if "order" in made:
                raise ValueError("a client with ordered=True sets the order itself")
            made["order"] = self.order
            self.order += 1
        text = made.get("text") if text is None else text
        if text is not None:
            made["text"] = text if isinstance(text, str) else json_module.dumps(text)
        super().send(to, made)
        self._session_cookie = False

    def send_and_consume(  # type: ignore[override]  # as Channels 1 has it
        self,
        channel: str,
        content: Mapping[str, Any] | None = None,
        text: Any = None,
        path: str = "/",
        fail_on_none: bool = True,
        check_accept: bool = True,
    ) -> Any:
        """Send a message, and bring it to its consumer."""
        self.send(channel, content, text, path)
        return self.consume(channel, fail_on_none=fail_on_none, check_accept=check_accept)

    def consume(self, channel: str, fail_on_none: bool = True, check_accept: bool = True) -> Any:
        """Bring the next message of a channel to its consumer.

        Raises: what the consumer raises; AssertionError if it does not accept a connection, and `check_accept` is set.
        """
        result = super().consume(channel, fail_on_none=fail_on_none)
        if channel == "websocket.connect" and check_accept:
            received = self.receive(json=False)
            assert received == {"accept": True}, f"the connection was not accepted: {received}"
        return result

    def login(self, **credentials: Any) -> bool:
        """Log in, if the credentials are right; return whether they are."""
        from django.contrib.auth import authenticate

        user = authenticate(**credentials)
        if user is None or not user.is_active or not apps.is_installed("django.contrib.sessions"):
            return False
        self._login(user)
        return True

    def force_login(self, user: Any, backend: str | None = None) -> None:
        """Log a user in."""
        user.backend = backend or settings.AUTHENTICATION_BACKENDS[0]
        self._login(user)

    def _login(self, user: Any) -> None:
        from django.contrib.auth import login

        login(SimpleNamespace(session=self.session, META={}), user)
        self.session.save()
