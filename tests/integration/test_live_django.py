"""The Django example through the running server: classic views, both handlers, consumers, and its connections."""

import hashlib
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import postgres
import pytest
from processes import PATIENCE, PYTHONPATH, Server, eventually

THREADS = 4
TOGETHER = 60


def migrate(folder, env):
    subprocess.run(
        [sys.executable, "-m", "examples.django_mixed.manage", "migrate", "-v0"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": PYTHONPATH, **env},
        check=True,
        capture_output=True,
        timeout=PATIENCE,
    )


def start(folder, env):
    migrate(folder, env)
    args = ("--threads", str(THREADS), "--queue-size", "200")
    return Server(folder, *args, app="live_django:routes", env=env)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("django")
    with start(folder, {"SQLITE_PATH": str(folder / "db.sqlite3")}) as server:
        yield server


@pytest.fixture(scope="module")
def on_postgres(tmp_path_factory):
    if postgres.programs() is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres.running() as url, start(tmp_path_factory.mktemp("django"), {"DATABASE_URL": url}) as server:
        server.database = url
        yield server


def token_of(client, path):
    return re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get(path).text)[1]


@pytest.mark.parametrize("prefix", ["/", "/asgi/"])
def test_forms_sessions_and_the_orm(server, prefix):
    with server.client() as client:
        text = f"written below {prefix}"
        token = token_of(client, prefix)
        assert client.post(prefix, data={"text": text}).status_code == 403  # no token
        done = client.post(prefix, data={"text": text, "csrfmiddlewaretoken": token})
        assert (done.status_code, done.headers["location"]) == (302, prefix)
        page = client.get(prefix).text
        assert f"<li>{text}</li>" in page
        assert "You have been here 2 times." in page


@pytest.mark.parametrize("prefix", ["/", "/asgi/"])
def test_login(server, prefix):
    with server.client(follow_redirects=True) as client:
        assert client.get(f"{prefix}whoami").url.path == "/login"
        fields = {"username": "ann", "password": "secret of ann"}
        done = client.post("/login", data={**fields, "csrfmiddlewaretoken": token_of(client, "/login")})
        assert (done.url.path, done.text) == ("/whoami", "ann")
        assert client.get(f"{prefix}whoami").text == "ann"


@pytest.mark.parametrize("prefix", ["/", "/asgi/"])
def test_an_upload_of_50_megabytes(server, prefix):
    content = os.urandom(1 << 20) * 50
    with server.client() as client:
        done = client.post(f"{prefix}upload", files={"file": ("big.bin", content)}).json()
    assert done == {"name": "big.bin", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_a_chunked_upload_is_read_by_django_too(server):
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhello\r\n--b--\r\n'
    fields = {"content-type": "multipart/form-data; boundary=b"}
    with server.client() as client:
        assert client.post("/upload", content=iter([body[:50], body[50:]]), headers=fields).json()["size"] == 5


@pytest.mark.parametrize("path", ["/rows.csv", "/asgi/rows.csv"])
def test_a_streamed_table(server, path):
    lines = server.get(path).text.split("\r\n")
    assert (len(lines), lines[0], lines[-2]) == (100_002, "number,square", "99999,9999800001")


@pytest.mark.parametrize("prefix", ["/", "/asgi/", "/slow/"])
def test_files_conditions_and_errors(server, prefix):
    with server.client() as client:
        response = client.get(f"{prefix}views.py")
        assert b"def source(request)" in response.content
        assert int(response.headers["content-length"]) == len(response.content)
        assert client.get(f"{prefix}conditional").text == "content"
        again = client.get(f"{prefix}conditional", headers={"if-none-match": '"one"'})
        assert (again.status_code, again.content) == (304, b"")
        assert client.head(f"{prefix}conditional").headers["content-length"] == "7"
        assert client.get(f"{prefix}broken").status_code == 500
        assert client.get(f"{prefix}nowhere").status_code == client.get(f"{prefix}%C0").status_code == 404


def test_consumers_beside_django(server):
    assert re.fullmatch(r"\d+ notes, asked for 2024 at /reports/2024\n", server.get("/reports/2024").text)
    assert server.get("/reports/").text == "reports\n"
    with server.client() as client, client.stream("GET", "/events") as response:
        lines = response.iter_lines()
        assert [next(lines).split()[1], next(lines), next(lines).split()[1]] == ["0", "", "1"]
    assert server.get("/asgi/count").json()["thread"] == "MainThread"


@pytest.mark.parametrize(("prefix", "name"), [("/", "consumer"), ("/asgi/", "consumer"), ("/slow/", "slow")])
def test_the_signals_of_a_request_fire_in_the_thread_of_its_view(server, prefix, name):
    earlier = []  # of requests whose end may be told when their answers are here

    def are_over():
        earlier.extend(name for name, _ in server.get("/signals").json())
        return earlier.count("started") == earlier.count("finished")

    eventually(are_over, "the end of earlier requests")
    thread = server.get(f"{prefix}where").json()["thread"]
    signals = []
    eventually(lambda: signals.extend(server.get("/signals").json()) or len(signals) >= 2, "both signals")
    assert re.fullmatch(rf"uvicorn-{name}-\d+", thread)
    assert signals == [["started", thread], ["finished", thread]]


# ---- connections ----


def ask_together(server, path):
    barrier = threading.Barrier(TOGETHER)
    limits = httpx.Limits(max_connections=TOGETHER)

    def ask(_):
        barrier.wait(PATIENCE)
        return client.get(path).json()

    with server.client(limits=limits) as client, ThreadPoolExecutor(TOGETHER) as threads:
        return list(threads.map(ask, range(TOGETHER)))


def connections(server):
    import psycopg

    name, _, host = server.database.removeprefix("postgresql://app@/").partition("?host=")
    # Not those of earlier looks, either: they end a little after their clients.
    with psycopg.connect(dbname=name, user="app", host=host, application_name="look") as connection:
        query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name <> 'look'"
        return {row[0] for row in connection.execute(query)}


@pytest.mark.parametrize("path", ["/slow-query", "/asgi/slow-query"])
def test_many_requests_at_once_open_no_more_connections_than_there_are_threads(on_postgres, path):
    answers = ask_together(on_postgres, path)

    pairs = {(answer["thread"], answer["backend"]) for answer in answers}
    assert len(answers) == TOGETHER
    assert {thread for thread, _ in pairs} <= {f"uvicorn-consumer-{n + 1}" for n in range(THREADS)}
    # Each thread has one connection and keeps it: CONN_MAX_AGE works.
    assert len(pairs) == len({thread for thread, _ in pairs}) == len({backend for _, backend in pairs})
    assert {backend for _, backend in pairs} <= connections(on_postgres)
    assert len(connections(on_postgres)) <= THREADS


def test_connections_are_the_same_by_either_handler(on_postgres):
    pairs = {
        (answer["thread"], answer["backend"])
        for path in ("/where", "/asgi/where", "/slow-query", "/asgi/slow-query")
        for answer in ask_together(on_postgres, path)
    }
    assert len(pairs) <= THREADS
    assert len(connections(on_postgres)) <= THREADS
