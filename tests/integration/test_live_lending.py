"""Django through the running server, with more requests that stay open than there are threads."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from processes import Server

THREADS = 2


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streams")
    env = {"SQLITE_PATH": str(folder / "db.sqlite3")}
    with Server(folder, "--threads", str(THREADS), app="live_lending:app", env=env) as server:
        yield server


@pytest.mark.parametrize("target", ["/stream", "/stream?query"])
def test_open_streams_do_not_make_pages_answer_503(server, target):
    with server.client() as client, ExitStack() as streams:
        for _ in range(3 * THREADS):
            stream = streams.enter_context(client.stream("GET", target))
            assert next(stream.iter_lines()) == "data: begun"
        for _ in range(3):
            page = client.get("/page")
            assert (page.status_code, page.text) == (200, "page")


def test_views_that_use_their_thread_and_then_another_one_do_not_wait_for_each_other(server):
    with server.client() as client, ThreadPoolExecutor(6 * THREADS) as threads:
        found = list(threads.map(lambda _: client.get("/both"), range(6 * THREADS)))
    assert {(answer.status_code, answer.text) for answer in found} == {(200, "True")}


def test_a_view_that_waits_for_many_calls_uses_few_threads_and_connections(server):
    with server.client() as client:
        answer = client.get("/many")
    assert answer.status_code == 200
    assert 1 <= int(answer.text) <= 2 * THREADS
