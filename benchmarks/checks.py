"""What is asked of a server, and what it must answer."""

from __future__ import annotations

import http.client
from dataclasses import dataclass

__all__ = ["HELLO", "PAGE", "Request"]

PAGE = b"Hello, world!"
_PATIENCE_SECONDS = 20.0


@dataclass(frozen=True)
class Request:
    """One request, and the content of the answer (None: any); a 200 with anything else is wrong."""

    path: str = "/"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    answer: bytes | None = PAGE

    def check(self, port: int, times: int = 1) -> None:
        """Ask so many times on one connection.

        Raises: AssertionError that says what was wrong; OSError if there is no answer.
        """
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
        try:
            for _ in range(times):
                connection.request(self.method, self.path, self.body, dict(self.headers))
                response = connection.getresponse()
                content = response.read()
                if response.status != 200 or self.answer not in (None, content):
                    shown = content[:200] if len(content) < 1000 else f"{len(content)} bytes"
                    raise AssertionError(f"{self.method} {self.path} was answered with {response.status}: {shown!r}")
        except http.client.HTTPException as error:
            raise ConnectionError(f"no HTTP answer: {error!r}") from error
        finally:
            connection.close()


HELLO = Request()
