"""A plugin for pytest: what Werkzeug, Flask and WebTest call directly goes through the running server.

`RELAY=0` leaves the suites as they are, for a comparison.
"""

import os

import pytest
import relay
import werkzeug.test
from webob.request import BaseRequest
from werkzeug.datastructures import Headers
from werkzeug.wsgi import ClosingIterator

directly = werkzeug.test.run_wsgi_app


def run_wsgi_app(app, environ, buffered=False):
    """Be `werkzeug.test.run_wsgi_app`."""
    environ = werkzeug.test._get_environ(environ).copy()
    try:
        status, fields, body = relay.call(app, environ)
    except relay.Unsendable:
        relay.COUNTS["not relayed"] += 1
        return directly(app, environ, buffered)
    return ClosingIterator([body] if body else []), status, Headers(fields)


def call_application(request, application, catch_exc_info=False):
    """Be `webob.Request.call_application`, by which WebTest asks; its `lint` then stands behind our server."""
    try:
        status, fields, body = relay.call(application, request.environ)
    except relay.NotWSGI as error:
        pytest.skip(str(error))
    except relay.Unsendable:
        relay.COUNTS["not relayed"] += 1
        return called(request, application, catch_exc_info)
    return (status, fields, [body], None) if catch_exc_info else (status, fields, [body])


if os.environ.get("RELAY") != "0":
    werkzeug.test.run_wsgi_app = run_wsgi_app
    called = BaseRequest.call_application
    BaseRequest.call_application = call_application


def pytest_terminal_summary(terminalreporter):
    counts = ", ".join(f"{count} requests {what}" for what, count in sorted(relay.COUNTS.items()))
    terminalreporter.write_line(counts or "no requests relayed")


def pytest_unconfigure():
    relay.stop()
