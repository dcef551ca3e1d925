"""Clients that mean well: what they get must not depend on what others do."""

from __future__ import annotations

import hashlib
from typing import Any

from attacks.answers import Client, Wrong

__all__ = ["Honest"]

_FIELDS = {"host", "x-who", "content-length", "x-passed", "connection"}  # theirs, and what the proxies add


class Honest:
    """A client that asks for what nobody else asks for, again and again, on one connection if it is let.

    Args:
        name: in each of its requests.
        path: what it asks for; with a body if there is one.
    """

    def __init__(self, port: int, name: str, path: str, body: bytes = b"") -> None:
        self._port = port
        self._name = name
        self._path = path
        self._body = body
        self._client: Client | None = None
        self._count = 0

    def ask(self, client: Client | None = None) -> int:
        """Ask once; return the port from which the request came to the server.

        Raises: Wrong if the answer is not to that, or none comes.
        """
        self._count += 1
        target = f"{self._path}?{self._name}-{self._count}"
        if client is None:
            if self._client is None or self._client.is_closed:
                self._client = Client(self._port)
            client = self._client
        method = "POST" if self._body else "GET"
        lines = [f"{method} {target} HTTP/1.1", "Host: honest.example", f"X-Who: {self._name}"]
        if self._body:
            lines.append(f"Content-Length: {len(self._body)}")
        try:
            answer = client.ask("\r\n".join([*lines, "", ""]).encode() + self._body)
            told = answer.told()
            self._check(told, method, target)
        except Wrong:
            self.close()  # the next one begins anew
            raise
        if answer.says_close:
            self.close()
        port: int = told["port"]
        return port

    def close(self) -> None:
        """Close its connection, if it has one."""
        if self._client is not None:
            self._client.__exit__()
            self._client = None

    def _check(self, told: dict[str, Any], method: str, target: str) -> None:
        """Raise Wrong if the server has understood anything else than what was asked."""
        expected = {
            "method": method,
            "target": target,
            "size": len(self._body),
            "digest": hashlib.sha256(self._body).hexdigest(),
        }
        found = {name: told[name] for name in expected}
        fields = dict(told["fields"])
        is_mine = fields.get("x-who") == self._name and fields.get("host") == "honest.example"
        if found != expected or not is_mine or set(fields) - _FIELDS:
            raise Wrong(f"was taken for {told}")
