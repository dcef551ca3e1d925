"""Run Django's own tests with our server in place of its live server, and behind its test client.

    django_suite.py FOLDER_OF_TESTS LABEL...

`LiveServerTestCase` serves by `LiveServerThread.server_class`: ours, in a thread. `django.test.Client` calls the
handler with an environ: here the environ becomes a request to our server (`relay.py`), and the handler gets ours.
`RELAY=0` leaves both as they are, for a comparison.
"""

import os
import runpy
import socket
import sys
import threading
import unittest

import relay
from asgiref.sync import _restore_context
from django.db import connections
from django.test import client, testcases
from running import RunningServer

#: What cannot hold here, and why.
EXPLAINED = {
    "handlers.tests.HandlerRequestTests.test_async_streaming": "looks for a warning in the thread of the test",
    "handlers.tests.SignalsTests.test_request_signals_streaming_response":
        "reads the response in parts; the relay has all of it",
    "view_tests.tests.test_static.StaticHelperTest.test_chunked": "counts the chunks; the relay has one",
    "view_tests.tests.test_static.StaticTests.test_chunked": "counts the chunks; the relay has one",
    "servers.tests.LiveServerViews.test_closes_connection_without_content_length":
        "wants Django's server to close what it cannot frame; ours sends chunks and goes on",
    "servers.tests.LiveServerViews.test_keep_alive_on_connection_with_content_length":
        "wants Django's server to ignore 'Connection: close'",
    "servers.tests.LiveServerViews.test_keep_alive_connection_clears_previous_request_data":
        "wants Django's server to ignore 'Connection: close'",
    "servers.tests.LiveServerTestCloseConnectionTest.test_closes_connections":
        "is about a subclass of Django's own server",
    "servers.tests.SingleThreadLiveServerViews.test_closes_connection_with_content_length":
        "is about Django's own server",
    "file_uploads.tests.DirectoryCreationTests.test_readonly_root": "fails for root, without us too",
}  # fmt: skip


class Served:
    """What `LiveServerThread` asks of a server, done by ours."""

    def __init__(self, address, handler=None, allow_reuse_address=False, connections_override=None):
        self._shared = connections_override or {}
        self._socket = socket.create_server(address, reuse_port=False)
        self._is_over = threading.Event()
        self._server = None
        self.server_address = self._socket.getsockname()

    def set_app(self, application):
        def with_connections(environ, start_response):
            for alias, connection in self._shared.items():
                connections[alias] = connection
            return application(environ, start_response)

        self._server = RunningServer(with_connections, self._socket)

    def serve_forever(self):
        self._server.start()
        self._is_over.wait()

    def shutdown(self):
        self._server.stop()
        self._is_over.set()

    def server_close(self):
        self._socket.close()


called = client.ClientHandler.__call__


def relayed(handler, environ):
    """Be `ClientHandler.__call__`."""
    made = []

    def application(environ, start_response):
        """Answer as Django's WSGIHandler does, and keep the response object for the test."""
        for alias, connection in shared.items():
            connections[alias] = connection
        response = called(handler, environ)
        made.append(response)
        cookies = [("Set-Cookie", cookie.output(header="")) for cookie in response.cookies.values()]
        fields = [*response.items(), *cookies]
        start_response(f"{response.status_code} {response.reason_phrase}", fields)
        return iter(response) if response.streaming else [response.content]

    shared = {connection.alias: connection for connection in connections.all(initialized_only=True)}
    for connection in shared.values():
        connection.inc_thread_sharing()
    try:
        status, fields, body = relay.call(application, environ)
    except relay.Unsendable:
        relay.COUNTS["not relayed"] += 1
        return called(handler, environ)
    finally:
        for connection in shared.values():
            connection.dec_thread_sharing()
    assert made, f"the server answered by itself: {status} {body!r}"
    [response] = made
    expected = {(name.lower(), value) for name, value in response.items()}
    if response.status_code in (204, 304):  # no server sends it with them (RFC 9110 section 8.6)
        expected.discard(("content-length", "0"))
    missing = expected - {(name.lower(), value) for name, value in fields}
    assert not missing, (missing, fields)
    if response.streaming:
        response.streaming_content = iter([body])
    else:
        assert body == (b"" if environ["REQUEST_METHOD"] == "HEAD" else response.content)
    return response


def run(test, result=None):
    """Be `TestCase.run`: skip what is explained."""
    if test.id() in EXPLAINED:
        result.startTest(test)
        result.addSkip(test, EXPLAINED[test.id()])
        result.stopTest(test)
        return result
    return ran(test, result)


ran = unittest.TestCase.run


def main():
    folder, *labels = sys.argv[1:]
    if os.environ.get("RELAY") != "0":
        testcases.LiveServerThread.server_class = Served
        client.ClientHandler.__call__ = relayed
        relay.restore = _restore_context
        unittest.TestCase.run = run
    os.chdir(folder)
    sys.path.insert(0, os.getcwd())
    sys.argv = ["runtests.py", "--parallel=1", "--settings=test_sqlite", *labels]
    try:
        runpy.run_path("runtests.py", run_name="__main__")
    finally:
        print(", ".join(f"{count} requests {what}" for what, count in sorted(relay.COUNTS.items())))
        relay.stop()


if __name__ == "__main__":
    main()
