"""A client that reads strictly: each answer to its last byte, and nothing behind it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Answer", "Client", "Wrong"]

_PATIENCE_SECONDS = 120.0  # what a busy machine may take


class Wrong(Exception):
    """An answer is not what it must be; the text says how."""


@dataclass
class Answer:
    """One final answer."""

    status: int
    fields: dict[str, str]
    content: bytes = b""
    informational: list[int] = field(default_factory=list)  # the 1xx that came before it

    @property
    def says_close(self) -> bool:
        """Whether the server keeps the connection no longer."""
        return "close" in self.fields.get("connection", "").lower()

    def told(self) -> dict[str, Any]:
        """Return what the application says that it understood.

        Raises: Wrong.
        """
        try:
            found = json.loads(self.content)
        except ValueError:
            found = None
        if self.status != 200 or not isinstance(found, dict):
            raise Wrong(f"{self.status} {self.content[:60]!r}")
        return found


class Client:
    """One connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), _PATIENCE_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._data = bytearray()
        self.is_closed = False  # by the other side

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send all of it, or as much as the other side takes before it closes."""
        try:
            self._socket.sendall(data)
        except ConnectionError:
            self.is_closed = True

    def finish_sending(self) -> None:
        """Close this side."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Vanish with a RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self._socket.close()

    def take(self, size: int) -> bytes:
        """Return the next bytes, so many.

        Raises: Wrong.
        """
        while len(self._data) < size:
            self._more()
        found = bytes(self._data[:size])
        del self._data[:size]
        return found

    def head(self) -> bytes:
        """Return all up to the next empty line, with it.

        Raises: Wrong.
        """
        size = len(self._until(b"\r\n\r\n").partition(b"\r\n\r\n")[0]) + 4
        return self.take(size)

    def send_bytes(self, data: bytes) -> None:
        """Send it one byte at a time."""
        for at in range(len(data)):
            self.send(data[at : at + 1])

    def answer(self, is_head: bool = False) -> Answer:
        """Return the next final answer.

        Raises: Wrong if there is none, or it is broken off.
        """
        informational = []
        while True:
            head, _, rest = self._until(b"\r\n\r\n").partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            version, _, status = first.partition(" ")
            if version != "HTTP/1.1" or not status[:3].isdigit():
                raise Wrong(f"no answer: {head[:60]!r}")
            pairs = [line.partition(": ") for line in lines]
            fields = {name.lower(): value for name, _, value in pairs}
            self._data[:] = rest
            if not status.startswith("1"):
                break
            informational.append(int(status[:3]))
        found = Answer(int(status[:3]), fields, b"", informational)
        if not is_head and found.status not in (204, 304):
            found.content = self._content(fields)
        return found

    def ask(self, request: bytes) -> Answer:
        """Ask, where nothing may be waiting that was not asked for; return the answer.

        Raises: Wrong.
        """
        if surplus := self.surplus():
            raise Wrong(f"{surplus[:60]!r} without having asked")
        self.send(request)
        return self.answer()

    def surplus(self) -> bytes:
        """Return what has come behind the last answer."""
        self._socket.settimeout(0)
        try:
            self._more()
        except (BlockingIOError, Wrong):
            pass
        finally:
            self._socket.settimeout(_PATIENCE_SECONDS)
        return bytes(self._data)

    def everything(self, silence_seconds: float) -> bytes:
        """Return all that comes until the other side closes, or is silent for so long."""
        self._socket.settimeout(silence_seconds)
        try:
            while True:
                self._more()
        except (TimeoutError, Wrong):
            return bytes(self._data)

    def answers_to_the_end(self) -> Iterator[Answer]:
        """Return all answers that come before the other side closes.

        Raises: Wrong if it does not close, or breaks off.
        """
        while True:
            if not self._data:
                try:
                    self._more()
                except Wrong:
                    if self.is_closed:
                        return
                    raise
            yield self.answer()

    def _content(self, fields: dict[str, str]) -> bytes:
        if fields.get("transfer-encoding") == "chunked":
            content = b""
            while True:
                line, _, rest = self._until(b"\r\n").partition(b"\r\n")
                self._data[:] = rest
                size = int(line, 16)
                content += self.take(size + 2)[:-2]
                if not size:
                    return content
        if "content-length" in fields:
            return self.take(int(fields["content-length"]))
        raise Wrong(f"an answer of no known length: {fields}")

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._data:
            self._more()
        return bytes(self._data)

    def _more(self) -> None:
        try:
            data = self._socket.recv(65536)
        except ConnectionError:
            data = b""
        except TimeoutError:
            raise Wrong("no answer") from None
        if not data:
            self.is_closed = True
            raise Wrong(f"broken off after {bytes(self._data[:40])!r}" if self._data else "closed without an answer")
        self._data += data
