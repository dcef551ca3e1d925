"""A suite that starts `uvicorn.Server` in a thread, as those of HTTP clients do."""

import contextlib
import socket
import threading
import time

import httpx
import pytest

import uvicorn


async def app(scope, receive, send):
    assert scope["type"] == "http"
    body = b""
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": [[b"content-type", b"text/plain"]]})
    await send({"type": "http.response.body", "body": scope["method"].encode() + b" " + body})


class Server(uvicorn.Server):
    @property
    def url(self):
        return f"http://{self.config.host}:{self.config.port}/"

    def install_signal_handlers(self):
        pass

    @contextlib.contextmanager
    def run_in_thread(self):
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            while not self.started:
                time.sleep(0.001)
            yield
        finally:
            self.should_exit = True
            thread.join()


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture(scope="session")
def server():
    config = uvicorn.Config(app=app, lifespan="off", loop="asyncio", port=free_port())
    server = Server(config)
    with server.run_in_thread():
        yield server


def test_it_answers(server):
    assert httpx.get(server.url).text == "GET "
    assert httpx.post(server.url, content=b"body").text == "POST body"


def test_several_at_once(server):
    other = Server(uvicorn.Config(app=app, lifespan="off", port=free_port(), log_level="warning"))
    with other.run_in_thread():
        assert httpx.get(other.url).text == httpx.get(server.url).text
