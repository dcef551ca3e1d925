"""A browser without a window: Chromium, where it is installed, and one page of it."""

import contextlib
import json
import os
import shutil
import signal
import subprocess

import pytest
from plain_http import get
from processes import PATIENCE, eventually
from websockets.sync.client import connect

__all__ = ["Page", "browsing", "needs_browser"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next((found for name in BROWSERS if (found := shutil.which(name))), None)
SITES = ("http://127", "https://127")  # else it is a page of the browser's own
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")


@contextlib.contextmanager
def browsing(url, folder, *options):
    """Open a page in a browser without a window, and end it by its process group."""
    words = [
        BROWSER,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-dev-shm-usage",
        "--no-proxy-server",
        "--disable-background-networking",
        "--remote-debugging-port=0",
        "--remote-allow-origins=*",
        f"--user-data-dir={folder}",
        *options,
        url,
    ]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Page:
    """A page of a browser that was started with a debugging port: evaluates JavaScript in it."""

    def __init__(self, profile):
        port_file = profile / "DevToolsActivePort"
        text = eventually(lambda: port_file.exists() and port_file.read_text(), "the browser's port")
        self._base = f"http://127.0.0.1:{text.split()[0]}"
        page = eventually(self._find, "a page")
        self._stack = contextlib.ExitStack()
        patience = {"open_timeout": PATIENCE, "ping_interval": None}
        url = page["webSocketDebuggerUrl"]
        self._socket = self._stack.enter_context(connect(url, proxy=None, max_size=None, **patience))
        self._count = 0
        self._events = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stack.close()

    def _find(self):
        pages = get(f"{self._base}/json").json()
        return next((page for page in pages if page["type"] == "page" and page["url"].startswith(SITES)), None)

    def evaluate(self, expression):
        result = self.command("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def command(self, method, **params):
        """Have DevTools do something; return its result. The events that come meanwhile are kept."""
        self._count += 1
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": params}))
        while True:
            answer = json.loads(self._socket.recv(PATIENCE))
            if answer.get("id") == self._count:
                assert "result" in answer, answer
                return answer["result"]
            self._events.append(answer)

    def events(self, method, count):
        """Wait until DevTools has told of so many events; return what it told."""

        def told():
            self.evaluate("0")
            found = [event["params"] for event in self._events if event.get("method") == method]
            return found if len(found) >= count else None

        return eventually(told, lambda: f"{count} of {method} in {self._events}")

    def wait_for(self, expression):
        return eventually(lambda: self.evaluate(expression), expression)

    def say(self, text):
        self.evaluate(f"at('text').value = {json.dumps(text)}; at('form').requestSubmit()")
