"""The scope of one call of an ASGI application. Compiled where it can be.

Spec: as in `asgi.py`.
"""

from __future__ import annotations

from typing import Any, Final

from uvicorn.applications.environ import below

__all__ = ["make_scope"]

_VERSIONS: Final = {"version": "3.0", "spec_version": "2.5"}
#: what is served beyond the core of the specification: name -> value in the scope
_EXTENSIONS: Final[dict[str, dict[str, Any]]] = {
    "http.response.early_hint": {},
    "http.response.trailers": {},
    "http.response.pathsend": {},
    "http.response.zerocopysend": {},
}


def make_scope(message: Any, state: dict[str, Any]) -> dict[str, Any]:
    """Return the scope of one request.

    Args:
        message: an `http.request`.
    """
    root = message["root_path"]
    path = message["path"]
    raw_path = message["raw_path"]
    if root:
        root = root.rstrip("/")
        if not below(path, root):  # a proxy has taken it off: `path` includes it, by the specification
            path = root + path
            raw_path = root.encode("utf-8", "surrogateescape") + raw_path
        root = _text(root)
    headers = message["headers"]
    client = message["client"]
    server = message["server"]
    request_id = message["request_id"]
    state = state.copy()
    if request_id is not None:
        state.setdefault("request_id", request_id)
    return {
        "type": "http",
        "asgi": _VERSIONS.copy(),
        "http_version": message["http_version"],
        "method": message["method"],
        "scheme": message["scheme"],
        "path": path if path.isascii() else _text(path),
        "raw_path": raw_path,
        "query_string": message["query_string"],
        "root_path": root,
        "headers": [(field[0], field[1]) for field in headers],
        "client": tuple(client) if client is not None else None,
        "server": tuple(server) if server is not None else None,
        "state": state,
        "extensions": _EXTENSIONS.copy(),
    }


def _text(text: str) -> str:
    """Return text that can be encoded: bytes that are no UTF-8 as replacement characters; `raw_path` has them."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
