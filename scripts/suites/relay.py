"""Call a WSGI application through the running server, where a test suite would call it directly.

    suite: call(application, environ)
        -> a request over a socket, made from the environ
        -> our server: parser, pool, our own environ
        -> application(environ, start_response), in a thread of the pool
        -> our response, over the socket
    suite: status, fields, body

The environ that the application gets is ours, but for what no request can carry: keys of the suite's own, and the
server's name, port and scheme, which the suites make up. Context variables of the caller go along. What the
application raises is raised in the caller. Fields that a server adds are taken off again.

A request that cannot be written as HTTP (a method of nobody, a path with a space) is not relayed: `Unsendable`.
"""

import contextvars
import http.client
import itertools
import re
import threading
from collections import Counter
from urllib.parse import quote_from_bytes

from running import PATIENCE, RunningServer

COUNTS = Counter()
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "MKCOL", "COPY"}
_OURS = {"date", "server", "connection", "content-length", "transfer-encoding"}
_OF_THE_REQUEST = {
    "REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH", "SERVER_PROTOCOL", "RAW_URI",
    "SERVER_SOFTWARE", "wsgi.input", "wsgi.version", "wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once",
    "wsgi.file_wrapper", "wsgi.input_terminated",
}  # fmt: skip
_numbers = itertools.count()
_calls = {}
_lock = threading.Lock()
_server = None


def restore(context):
    """Set the variables of the caller; Django's suite has a way of its own (asgiref marks some by their thread)."""
    for variable, value in context.items():
        variable.set(value)


class Unsendable(Exception):
    """Say that no HTTP request can be like this environ."""


class NotWSGI(Exception):
    """Say that an application of the suite breaks PEP 3333 itself."""


class _Call:
    def __init__(self, application, environ):
        self.application = application
        self.extra = {key: value for key, value in environ.items() if not _is_of_the_request(key)}
        self.has_host = "HTTP_HOST" in environ
        self.script_name = environ.get("SCRIPT_NAME", "")
        self.context = contextvars.copy_context()
        self.status = ""
        self.names = set()
        self.error = None


def call(application, environ):
    """Return status line, fields and body of what the application answers; raise what it raises."""
    method, target, fields, body, is_chunked = _request_of(environ)
    made = _Call(application, environ)
    number = str(next(_numbers))
    _calls[number] = made
    connection = http.client.HTTPConnection(*_running().address, timeout=PATIENCE)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("X-Relay", number)
        for name, value in fields:
            connection.putheader(name, value.encode("latin-1"))
        if not made.has_host:
            connection.putheader("Host", "relay")
        connection.endheaders()
        if is_chunked:
            connection.send(b"%x\r\n%b\r\n" % (len(body), body) if body else b"")
            connection.send(b"0\r\n\r\n")
        elif body:
            connection.send(body)
        COUNTS["relayed"] += 1
        try:
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            if made.error is not None:
                raise made.error from None
            raise
    finally:
        connection.close()
        del _calls[number]
    if made.error is not None:
        raise made.error
    answered = [
        (name, value)
        for name, value in response.headers.items()
        if name.lower() in made.names or name.lower() not in _OURS
    ]
    if not made.status:  # the server refused the request
        return f"{response.status} {response.reason}", answered, content
    assert response.status == int(made.status[:3]), f"{made.status} was answered {response.status}"
    return made.status, answered, content  # the server says the registered phrase


def _running():
    global _server
    with _lock:
        if _server is None:
            _server = RunningServer(_application).start()
    return _server


def stop():
    """Stop the server, if there is one: its threads would hold the process."""
    if _server is not None:
        _server.stop()


def _application(environ, start_response):
    """Be what the server serves: the application of the call."""
    made = _calls[environ.pop("HTTP_X_RELAY")]
    if not made.has_host:
        del environ["HTTP_HOST"]
    if made.script_name:
        environ["PATH_INFO"] = environ["PATH_INFO"][len(made.script_name) :]
    environ.update(made.extra)
    restore(made.context)

    def started(status, headers, *exc_info):
        if not isinstance(status, str):
            raise NotWSGI("the application gives a status that is no str")
        made.status = status
        made.names = {field[0].lower() for field in headers if field}
        return start_response(status, headers, *exc_info)

    try:
        result = made.application(environ, started)
    except BaseException as error:
        made.error = error
        raise
    return result if type(result) in (list, tuple) or _is_file_wrapper(result) else _Watched(result, made)


class _Watched:
    """Be the iterable that an application returned, and remember what it raises."""

    def __init__(self, result, made):
        self._result = result
        self._made = made

    def __iter__(self):
        try:
            yield from self._result
        except GeneratorExit:
            raise
        except BaseException as error:
            self._made.error = error
            raise

    def close(self):
        close = getattr(self._result, "close", None)
        try:
            if close is not None:
                close()
        except BaseException as error:
            self._made.error = error
            raise


def _is_file_wrapper(result):
    return type(result).__module__.startswith("uvicorn")


def _is_of_the_request(key):
    return key in _OF_THE_REQUEST or key.startswith("HTTP_")


def _request_of(environ):
    method = environ.get("REQUEST_METHOD")
    if method not in _METHODS:
        raise Unsendable(method)
    path = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1")
    if not path.startswith(b"/"):
        raise Unsendable(path)
    target = quote_from_bytes(path, safe="/!$&'()*+,;=:@~-._")
    query = environ.get("QUERY_STRING", "")
    if query:
        target += "?" + query
    if not re.fullmatch(r"[!-~]+", target) or "#" in target:
        raise Unsendable(target)
    fields = []
    length = str(environ.get("CONTENT_LENGTH") or "")
    is_chunked = environ.get("HTTP_TRANSFER_ENCODING") == "chunked"
    if length:
        fields.append(("Content-Length", length))
    if environ.get("CONTENT_TYPE"):
        fields.append(("Content-Type", environ["CONTENT_TYPE"]))
    for key, value in environ.items():
        if key.startswith("HTTP_") and key not in ("HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE"):
            fields.append((key[5:].replace("_", "-").title(), str(value)))
    for _, value in fields:
        if re.search(r"[\r\n\0]", value) or value != value.strip() or not _is_latin(value):
            raise Unsendable(value)
    body = b""
    if length:
        if not length.isdecimal():
            raise Unsendable(length)
        body = _read(environ["wsgi.input"], int(length))
        if len(body) < int(length):
            raise Unsendable("a body that is shorter than its length")
    elif is_chunked or environ.get("wsgi.input_terminated"):
        body = _read(environ["wsgi.input"])
        if body and not is_chunked:
            raise Unsendable("a body without a length")
    return method, target, fields, body, is_chunked


def _read(file, *size):
    """Read the body, and go back: suites send it again when they follow a redirect."""
    content = file.read(*size)
    if getattr(file, "seek", None) is not None and file.seekable():
        file.seek(-len(content), 1)
    return content


def _is_latin(value):
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True
