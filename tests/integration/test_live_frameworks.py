"""Flask and FastAPI, each through its own features; and all of them together under one command."""

import hashlib
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from processes import PATIENCE, PYTHONPATH

ROWS = "".join(f"{n},{n * n}\n" for n in range(100_000))


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("--threads", "4", app="examples.mix:routes")


@pytest.mark.parametrize("prefix", ["/", "/shop/"])
def test_flask_cookies_redirects_and_prefixes(server, prefix):
    with server.client(follow_redirects=True) as client:
        assert client.get(prefix).text == f"visit 1 at {prefix}"
        done = client.get(f"{prefix}old")
        assert (done.text, done.history[0].status_code) == (f"visit 2 at {prefix}", 302)


def test_flask_conditions_errors_and_streams(server):
    with server.client() as client:
        page = client.get("/page")
        again = client.get("/page", headers={"if-none-match": page.headers["etag"]})
        assert (page.text, again.status_code, again.content) == ("the same page", 304, b"")
        assert client.get("/missing").status_code == client.get("/nowhere").status_code == 404
        assert client.get("/broken").status_code == 500
        assert client.options("/page").headers["allow"]
        assert client.post("/page").status_code == 405
        assert client.get("/rows.csv").text == ROWS


def test_fastapi_state_validation_and_its_document(server):
    with server.client() as client:
        assert client.get("/api/items/7").json() == {"name": "item 7", "url": "/api/items/7"}
        assert client.get("/api/items/700").status_code == 404
        assert client.get("/api/items/x").status_code == 422
        assert client.get("/api/blocking").json() == {"kind": "plain function"}
        assert client.get("/api/broken").status_code == 500
        assert client.get("/api/openapi.json").json()["servers"] == [{"url": "/api"}]
        assert client.get("/api/rows.csv").text == ROWS
        assert client.get("/ping").text == "pong\n"
        assert client.get("/api/%C0").status_code == 404


@pytest.mark.parametrize("path", ["/upload", "/api/upload"])
def test_an_upload_of_50_megabytes(server, path):
    content = os.urandom(1 << 20) * 50
    with server.client() as client:
        done = client.post(path, files={"file": ("big.bin", content)}).json()
    assert done == {"name": "big.bin", "sha256": hashlib.sha256(content).hexdigest()}


def test_all_of_them_with_two_workers_and_two_hundred_clients(serve, tmp_path):
    env = {"SQLITE_PATH": str(tmp_path / "db.sqlite3")}
    subprocess.run(
        [sys.executable, "-m", "examples.django_mixed.manage", "migrate", "-v0"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": PYTHONPATH, **env},
        check=True,
        capture_output=True,
        timeout=PATIENCE,
    )
    server = serve("--workers", "2", "--threads", "4", "--queue-size", "400", app="live_mix:routes", env=env)
    upload = os.urandom(200_000)
    digest = hashlib.sha256(upload).hexdigest()
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)

    def visit(number):
        """Ask half of the applications something in an order of our own, on whatever connection is free."""
        item = number % 100
        asks = [
            (lambda: client.get("/ping").text, "pong\n"),
            (lambda: client.get(f"/api/items/{item}").json()["name"], f"item {item}"),
            (lambda: client.post("/api/upload", files={"file": ("a", upload)}).json()["sha256"], digest),
            (lambda: client.get("/shop/page").text, "the same page"),
            (lambda: client.post("/shop/upload", files={"file": ("a", upload)}).json()["sha256"], digest),
            (lambda: client.get("/django/where").json()["prefix"], "/django"),
            (lambda: client.get("/django/asgi/where").json()["prefix"], "/django/asgi"),
            (lambda: client.post("/django/upload", files={"file": ("a", upload)}).json()["sha256"], digest),
            (lambda: client.get(f"/django/reports/{2000 + item}").text.split(" asked for ")[1],
             f"{2000 + item} at /django/reports/{2000 + item}\n"),
            (lambda: client.get("/nowhere").status_code, 404),
        ]  # fmt: skip
        chosen = random.Random(number).sample(asks, 5)
        return [(number, got, want) for ask, want in chosen if (got := ask()) != want]

    made = server.client(limits=limits)
    with made as client, ThreadPoolExecutor(200) as clients:
        wrong = [mistake for mistakes in clients.map(visit, range(200)) for mistake in mistakes]
    assert wrong == []
    assert len(server.workers()) == 2
    assert "[ERROR]" not in server.log()
    assert server.stop() == 0
