"""From a message to the `environ` of a WSGI application. Pure, but for caches.

Spec: PEP 3333, "environ Variables"; RFC 3875 section 4.1.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

from uvicorn.applications.files import FileWrapper

__all__ = ["below", "make_environ"]

_MOST_CACHED: Final = 512  # header names; arbitrary, emptied when full
_SPARE: Final = ("1", "2", "3", "4")
_PORTS: Final = {"http": "80", "https": "443"}

#: What every environ has.
_TEMPLATE: Final[dict[str, Any]] = {
    "REQUEST_METHOD": "",
    "SCRIPT_NAME": "",
    "PATH_INFO": "",
    "QUERY_STRING": "",
    "RAW_URI": "",
    "SERVER_NAME": "",
    "SERVER_PORT": "",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "SERVER_SOFTWARE": "uvicorn",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.input": None,
    "wsgi.input_terminated": True,
    "wsgi.errors": None,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,  # other workers may run, or come
    "wsgi.run_once": False,
    "wsgi.file_wrapper": FileWrapper,
}

# CPython copies a dict with its table. This one has had a few keys more, and so a table of the next size: the fields of
# most requests find room in the copy, which would have to move to such a table otherwise.
for _key in _SPARE:
    _TEMPLATE[_key] = None
for _key in _SPARE:
    del _TEMPLATE[_key]

_names: dict[bytes, str] = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}


def make_environ(message: Mapping[str, Any], body_size: int | None) -> dict[str, Any]:
    """Return the environ of one request, without `wsgi.input` and `wsgi.early_hints`.

    Args:
        message: an `http.request`.
        body_size: bytes of the body, if all of it is here already; it becomes CONTENT_LENGTH where the client sent
            none (chunked), for applications that read as much as that says.
    """
    environ = _TEMPLATE.copy()
    root = message["root_path"]
    path = message["path"]
    if root:
        root = root.rstrip("/")
        environ["SCRIPT_NAME"] = _wsgi_text(root)
        if below(path, root):
            path = path[len(root) :]
    environ["REQUEST_METHOD"] = message["method"]
    environ["PATH_INFO"] = path if path.isascii() else _wsgi_text(path)
    query: bytes = message["query_string"]
    raw: bytes = message["raw_path"]
    environ["QUERY_STRING"] = query.decode("latin-1")
    environ["RAW_URI"] = (b"?".join((raw, query)) if query else raw).decode("latin-1")
    if message["http_version"] != "1.1":
        environ["SERVER_PROTOCOL"] = f"HTTP/{message['http_version']}"
    environ["wsgi.url_scheme"] = message["scheme"]
    environ["wsgi.errors"] = sys.stderr
    client = message["client"]
    if client is not None:
        environ["REMOTE_ADDR"] = client[0]
        environ["REMOTE_PORT"] = str(client[1])
    else:
        environ["REMOTE_ADDR"] = ""  # a unix socket: as Gunicorn
    _add_fields(environ, message["headers"])
    server = message["server"]
    if server is not None:
        environ["SERVER_NAME"] = server[0]
        environ["SERVER_PORT"] = str(server[1])
    else:
        _name_from_host(environ)
    if body_size is not None and "CONTENT_LENGTH" not in environ and _has_body(environ, body_size):
        environ["CONTENT_LENGTH"] = str(body_size)
    return environ


def _has_body(environ: dict[str, Any], body_size: int) -> bool:
    """Whether the request has a body: over HTTP/2 no field says so."""
    return "HTTP_TRANSFER_ENCODING" in environ or (body_size > 0 and environ["SERVER_PROTOCOL"] == "HTTP/2")


def below(path: str, root: str) -> bool:
    """Whether a path is a mount point, or below it. `root` has no "/" at its end."""
    return path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/")


def _add_fields(environ: dict[str, Any], headers: list[list[bytes]]) -> None:
    for name, value in headers:
        key = _names.get(name) or _name(name)
        text = value.decode("latin-1")
        size = len(environ)
        before = environ.setdefault(key, text)
        if len(environ) == size:  # RFC 9110 section 5.3; for Cookie RFC 6265 section 5.4
            environ[key] = f"{before}{'; ' if key == 'HTTP_COOKIE' else ','}{text}"


def _name(name: bytes) -> str:
    if len(_names) >= _MOST_CACHED:
        _names.clear()
        _names.update({b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"})
    key = _names[name] = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
    return key


def _wsgi_text(text: str) -> str:
    """Return text as PEP 3333 wants it: the bytes of UTF-8, each as one character."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _name_from_host(environ: dict[str, Any]) -> None:
    """Set SERVER_NAME and SERVER_PORT where there is no address: PEP 3333 wants both, and never empty."""
    host: str = environ.get("HTTP_HOST", "")
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host, ""
    environ["SERVER_NAME"] = name or "localhost"
    environ["SERVER_PORT"] = port or _PORTS[environ["wsgi.url_scheme"]]
