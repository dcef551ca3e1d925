"""The WSGI applications under a2wsgi, which runs them in threads of an ASGI server."""

from __future__ import annotations

import wsgi
from a2wsgi import WSGIMiddleware

_THREADS = 40

hello, echo, wait_10, wait_100, typical, stream, upload = (
    WSGIMiddleware(page, workers=_THREADS)
    for page in (wsgi.hello, wsgi.echo, wsgi.wait_10, wsgi.wait_100, wsgi.typical, wsgi.stream, wsgi.upload)
)
