"""`uvicorn.Server` in this process: in threads and on the running loop, several at once, stopped without a trace."""

import asyncio
import contextlib
import gc
import logging
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import trustme
from patience import NEVER_SECONDS, PATIENCE_SECONDS, until
from plain_http import PLAIN, get
from websockets.sync.client import connect

import uvicorn
from uvicorn import bridge
from uvicorn.command import interpreter

PATIENCE = PATIENCE_SECONDS


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """No environment variables that say something else, and a log that is left as it is."""
    for name in [*os.environ]:
        if name.startswith("UVICORN_") and name != "UVICORN_PURE":
            monkeypatch.delenv(name)


def config(app, **options):
    # A connection that a test keeps is not closed for its silence, however long the machine stands still.
    kept = {"timeout_keep_alive": NEVER_SECONDS, "header_timeout": NEVER_SECONDS}
    return uvicorn.Config(app, **{"port": 0, "log_config": None, "lifespan": "auto"} | kept | options)


class Server(uvicorn.Server):
    """One that runs in a thread, as test suites have it."""

    def install_signal_handlers(self):
        pass

    @contextlib.contextmanager
    def running(self):
        thread = threading.Thread(target=self.run, daemon=True)
        self.is_up = threading.Event()
        thread.start()
        try:
            assert self.is_up.wait(PATIENCE)
            address = self.servers[0].sockets[0].getsockname()
            yield f"http://127.0.0.1:{address[1]}" if isinstance(address, tuple) else address
        finally:
            self.should_exit = True
            thread.join(PATIENCE)
            assert not thread.is_alive()

    async def startup(self, sockets=None):
        await super().startup(sockets=sockets)
        self.is_up.set()


async def started(server):
    while not server.started:  # noqa: ASYNC110 (as test suites do it)
        await asyncio.sleep(0.01)


async def hello(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("no lifespan")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": f"hello {threading.get_ident()}".encode()})


def consumer(message):
    message["reply_channel"].send({"status": 200, "content": threading.current_thread().name.encode()})


def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["SERVER_PORT"].encode()]


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_it_serves_in_a_thread_and_stops_when_told_to(loop):
    server = Server(config(hello, loop=loop))
    with server.running() as url:
        assert get(url).text.startswith("hello ")
        assert server.started
        assert server.server_state.total_requests == 1
    assert server.servers[0].sockets == ()


@pytest.mark.parametrize("application", [consumer, wsgi, hello, [uvicorn.route("http.request", consumer)]])
def test_it_serves_every_kind_of_application(application):
    with Server(config(application)).running() as url:
        assert get(url).status_code == 200


def test_synchronous_consumers_run_in_threads_of_the_pool():
    with Server(config(consumer)).running() as url:
        assert get(url).text == "uvicorn-consumer-1"


def test_one_thread_counts_as_not_given_for_an_asgi_application_as_in_a_worker(caplog):
    caplog.set_level(logging.INFO, "uvicorn.error")
    with Server(config(hello, threads=1)).running():
        pass
    assert "anyio's own default, as threads is not set to more than 1\n" in caplog.text
    assert "1 worker, with 40 threads, " in caplog.text


def test_it_serves_in_the_loop_of_its_caller():
    async def test():
        server = uvicorn.Server(config(hello))
        serving = asyncio.create_task(server.serve())
        await started(server)
        [sock] = server.servers[0].sockets
        async with httpx.AsyncClient(**PLAIN) as client:
            answer = await client.get(f"http://127.0.0.1:{sock.getsockname()[1]}/")
        assert answer.text == f"hello {threading.get_ident()}"
        server.should_exit = True
        await asyncio.wait_for(serving, PATIENCE)
        assert await asyncio.to_thread(lambda: threading.current_thread().name) == "asyncio_0"

    asyncio.run(test())


async def blocks(message):
    time.sleep(0.1)  # noqa: ASYNC251 (that is what it is for)
    message["reply_channel"].send({"status": 200, "content": b"at last"})


@pytest.mark.parametrize("is_on_our_loop", [True, False])
def test_a_loop_that_is_blocked_is_told_with_its_line_and_nobody_looks_when_the_server_has_ended(
    caplog, is_on_our_loop
):
    async def on_our_loop():
        server = uvicorn.Server(config(blocks, loop_block_warning=0.05))
        serving = asyncio.create_task(server.serve())
        await started(server)
        [sock] = server.servers[0].sockets
        await asyncio.to_thread(ask, f"http://127.0.0.1:{sock.getsockname()[1]}/blocked")
        server.should_exit = True
        await asyncio.wait_for(serving, PATIENCE)

    def ask(url):
        assert "uvicorn-watchdog" in names_of_threads(before)
        told = re.compile(
            r"test_server\.blocks blocked the event loop for [\d.]+ seconds( so far)?: GET /blocked at "
            rf".*test_server\.py:{blocks.__code__.co_firstlineno + 1}, in blocks\. Make it a plain 'def'"
        )
        with httpx.Client(**PLAIN) as client:  # on a busy machine it may be that nobody can look in time
            until(lambda: client.get(url).text == "at last" and told.search(caplog.text), "the line")

    before = threading.enumerate()
    if is_on_our_loop:
        asyncio.run(on_our_loop())
    else:
        with Server(config(blocks, loop_block_warning=0.05)).running() as url:
            ask(f"{url}/blocked")
    # A stop waits a second for the thread, which may not get as far on a machine that stands still.
    until(lambda: "uvicorn-watchdog" not in names_of_threads(before), "the end of the watchdog")


def test_a_loop_is_not_watched_if_that_is_switched_off():
    before = threading.enumerate()
    with Server(config(blocks, loop_block_warning=0)).running() as url:
        assert get(url).text == "at last"
        assert "uvicorn-watchdog" not in names_of_threads(before)


def names_of_threads(before):
    """Return the names of the threads that were not there before; one of an earlier test may still be ending."""
    return [thread.name for thread in threading.enumerate() if thread not in before]


def test_the_start_tells_each_mount_and_what_is_unusual(caplog):
    caplog.set_level(logging.INFO, "uvicorn.error")
    site = uvicorn.Router([uvicorn.mount("/wsgi%20", wsgi), uvicorn.mount("/asgi", hello)])
    with Server(config(site, threads=2, governor="off")).running() as url:
        pass
    module = __name__
    assert f", at {url}\n" in caplog.text
    assert f"  /wsgi%20  WSGI application {module}.wsgi, in threads\n" in caplog.text
    assert f"  /asgi     ASGI application {module}.hello, on the event loop\n" in caplog.text
    assert "1 worker, with 2 threads, for which 16 requests may wait\n" in caplog.text
    assert "Unusual: no governor\n" in caplog.text
    [painted] = [each.__dict__["color_message"] for each in caplog.records if "no governor" in each.message]
    assert "\033[" in painted


def test_several_on_one_loop_and_in_threads_have_a_bridge_each():
    async def own_pool(scope, receive, send):
        if scope["type"] != "http":
            raise RuntimeError("no lifespan")
        name, loop_thread = await bridge.run_in_pool(
            lambda: (threading.current_thread().name, bridge.run_on_loop(thread_of_loop()))
        )
        text = f"{name} {loop_thread == threading.get_ident()} {scope['path']}"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text.encode()})

    async def thread_of_loop():
        return threading.get_ident()

    async def both():
        servers = [uvicorn.Server(config(own_pool)) for _ in range(2)]
        serving = [asyncio.create_task(server.serve()) for server in servers]
        for server in servers:
            await started(server)
        async with httpx.AsyncClient(**PLAIN) as client:
            for number, server in enumerate(servers):
                port = server.servers[0].sockets[0].getsockname()[1]
                answer = await client.get(f"http://127.0.0.1:{port}/{number}")
                assert answer.text == f"uvicorn-consumer-1 True /{number}"
            servers[0].should_exit = True
            await asyncio.wait_for(serving[0], PATIENCE)
            answer = await client.get(f"http://127.0.0.1:{port}/still")
            # Another thread, if the first one is still on its way back from /1.
            assert re.fullmatch(r"uvicorn-consumer-\d+ True /still", answer.text)
        servers[1].should_exit = True
        await asyncio.wait_for(serving[1], PATIENCE)

    with Server(config(own_pool)).running() as url:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(uvicorn.Server, "capture_signals", contextlib.nullcontext)
            asyncio.run(both())
        assert get(url).text == "uvicorn-consumer-1 True /"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_hundred_starts_and_stops_leave_nothing_behind(loop):
    async def lazy(scope, receive, send):
        if scope["type"] == "lifespan":
            while (event := await receive())["type"] != "lifespan.shutdown":
                await send({"type": f"{event['type']}.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        await asyncio.to_thread(int)
        await hello(scope, receive, send)

    def once():
        with Server(config(lazy, loop=loop)).running() as url, httpx.Client(**PLAIN) as client:
            assert client.get(url).status_code == 200

    def times(number):
        with ThreadPoolExecutor(10, "together") as together:
            for done in [together.submit(once) for _ in range(number)]:
                done.result()

    times(10)
    interval = sys.getswitchinterval()
    before = what_is_there()
    times(100)
    after = what_is_there()
    assert after["threads"] - before["threads"] == set()  # a daemon of an earlier test may end meanwhile
    for name in ("descriptors", "tasks", "servers"):
        assert after[name] <= before[name], name
    assert sys.getswitchinterval() == interval
    from uvicorn.applications.anyio_threads import AnyioThreads
    from uvicorn.bridge import crossing, loop_executor
    from uvicorn.bridge.framework_calls import nested_tests

    assert (AnyioThreads.serving, crossing._crossings, loop_executor._lent, nested_tests) == ((), (), {}, [])


def what_is_there():
    # A thread of a pool ends by itself, when it was told to; nobody waits for it.
    for thread in threading.enumerate():
        if thread.name.startswith(("uvicorn-", "asyncio_", "ThreadPoolExecutor")):
            thread.join(PATIENCE)
    gc.collect()
    return {
        "threads": set(threading.enumerate()),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "tasks": count_of(asyncio.Task),
        "servers": count_of(uvicorn.Server),
    }


def test_a_process_ends_though_a_server_in_a_daemon_thread_of_it_was_never_stopped():
    code = """if True:
        import http.client, socket, threading, uvicorn
        def consumer(message):
            message["reply_channel"].send({"status": 200, "content": threading.current_thread().name.encode()})
        sock = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(consumer, log_level="error"))
        threading.Thread(target=server.run, args=([sock],), daemon=True).start()
        client = http.client.HTTPConnection("127.0.0.1", sock.getsockname()[1])
        client.request("GET", "/")
        print(client.getresponse().read().decode())
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout.startswith("uvicorn-consumer")


def test_what_is_not_served_is_not_imported(tmp_path):
    code = """
import asyncio, sys, uvicorn

async def application(scope, receive, send):
    raise AssertionError

async def serve():
    server = uvicorn.Server(uvicorn.Config(application, port=0, lifespan="off", log_level="error"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    server.should_exit = True
    await task

asyncio.run(serve())
unwanted = "ctypes hashlib websockets uvicorn.channels1 uvicorn.connections.h2_connection"
unwanted += " uvicorn.connections.socket uvicorn.applications.static_files"
print([name for name in unwanted.split() if name in sys.modules])
"""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (result.stdout, result.stderr) == ("[]\n", "")


def count_of(kind):
    # By the type: lazy objects of other packages are made when they are asked for their class.
    return sum(issubclass(type(each), kind) for each in gc.get_objects())


def test_a_trusted_proxy_says_who_the_client_is_unless_that_is_switched_off(caplog):
    async def client(scope, receive, send):
        if scope["type"] != "http":
            raise RuntimeError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"{scope['client'][0]} {scope['scheme']}".encode()})

    headers = {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}
    caplog.set_level(logging.INFO, "uvicorn.access")
    with Server(config(client)).running() as url:
        assert get(url, headers=headers).text == "192.0.2.7 https"
    assert '192.0.2.7:0 - "GET / HTTP/1.1" 200' in caplog.text
    with Server(config(client, proxy_headers=False)).running() as url:
        assert get(url, headers=headers).text == "127.0.0.1 http"


def test_headers_that_are_given_are_those_of_each_response():
    made = config(hello, headers=[("X-One", "1"), ("Server", "mine")], date_header=False)
    with Server(made).running() as url:
        answer = get(url)
    assert (answer.headers["x-one"], answer.headers["server"], "date" in answer.headers) == ("1", "mine", False)


def test_past_the_limit_of_connections_requests_are_refused():
    server = Server(config(hello, limit_concurrency=1))
    with server.running() as url, httpx.Client(**PLAIN) as one, httpx.Client(**PLAIN) as two:
        assert one.get(url).status_code == 200
        answer = two.get(url)
    assert (answer.status_code, answer.text, answer.headers["retry-after"]) == (503, "Service Unavailable", "1")


def test_sockets_are_served_beside_health_paths():
    def echo(message):
        message["reply_channel"].send({"text": message["text"]})

    async def accept(message):
        message["reply_channel"].send({"accept": True})

    routes = [uvicorn.route("websocket.connect", accept), uvicorn.route("websocket.receive", echo)]
    with Server(config(routes, health_path="/-/health", limit_concurrency=5)).running() as url:
        assert get(f"{url}/-/health/live").status_code == 200
        with connect(url.replace("http", "ws"), open_timeout=PATIENCE, close_timeout=PATIENCE) as client:
            client.send("still here")
            assert client.recv(PATIENCE) == "still here"


# ---- starts that fail ----


def test_an_application_that_cannot_start_ends_it_and_says_so(caplog):
    async def failing(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    server = uvicorn.Server(config(failing))
    asyncio.run(server.serve())
    assert (server.started, server.should_exit) == (False, True)
    assert "no database" in caplog.text
    assert "Application startup failed. Exiting." in caplog.text


def test_a_port_that_is_in_use_is_told_in_one_line_and_the_application_is_stopped(caplog):
    events = []

    async def application(scope, receive, send):
        for _ in range(2):
            event = await receive()
            events.append(event["type"])
            await send({"type": f"{event['type']}.complete"})

    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = uvicorn.Server(config(application, port=taken.getsockname()[1]))
        with pytest.raises(SystemExit) as raised:
            asyncio.run(server.serve())
    assert raised.value.code == 1
    assert "address already in use by " in caplog.text
    assert f"(pid {os.getpid()})" in caplog.text
    assert events == ["lifespan.startup", "lifespan.shutdown"]


@pytest.mark.parametrize("name", ["nowhere:app", "test_server:nothing"])
def test_an_application_that_is_not_there_ends_it_with_one_line(caplog, name):
    with pytest.raises(SystemExit):
        asyncio.run(uvicorn.Server(config(name)).serve())
    assert "Error loading ASGI app. There is no " in caplog.text


def test_it_can_be_told_to_stop_while_the_application_starts():
    async def slow(scope, receive, send):
        server.should_exit = True
        await asyncio.Event().wait()

    server = uvicorn.Server(config(slow))
    asyncio.run(server.serve())
    assert not server.started


# ---- the stop ----


def ask(url):
    with contextlib.suppress(httpx.HTTPError):
        get(url)


@pytest.mark.parametrize("how", ["told", "cancelled"])
def test_a_start_that_is_broken_off_leaves_no_task_and_the_switch_interval_as_it_was(how):
    is_starting = asyncio.Event()

    async def slow(scope, receive, send):
        await receive()
        is_starting.set()
        await asyncio.Event().wait()

    async def test():
        before = sys.getswitchinterval()
        for _ in range(2):
            is_starting.clear()
            server = uvicorn.Server(config(slow))
            serving = asyncio.create_task(server.serve())
            await asyncio.wait_for(is_starting.wait(), PATIENCE)
            assert sys.getswitchinterval() < before
            if how == "told":
                server.should_exit = True
            else:
                serving.cancel()
            await asyncio.wait([serving], timeout=PATIENCE)
            assert (serving.done(), serving.cancelled()) == (True, how == "cancelled")
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert sys.getswitchinterval() == before
            assert interpreter._count == 0

    asyncio.run(test())


@contextlib.contextmanager
def in_the_midst_of_a_request(**options):
    """A server with a request that its application never answers; it is told to stop at the end, and has then ended."""

    async def endless(scope, receive, send):
        if scope["type"] != "http":
            raise RuntimeError
        begun.set()
        await asyncio.Event().wait()

    begun = threading.Event()
    server = Server(config(endless, **options))
    with server.running() as url:
        client = threading.Thread(target=ask, args=[url], daemon=True)
        client.start()
        assert begun.wait(PATIENCE)
        yield server
    client.join(PATIENCE)


def test_it_waits_for_requests_and_a_second_signal_does_not():
    with in_the_midst_of_a_request() as server:
        server.handle_exit(signal.SIGINT, None)
        assert server.should_exit
        assert not server.force_exit
        server.handle_exit(signal.SIGINT, None)
        assert server.force_exit
        server._captured.clear()


def test_whoever_cancels_a_stop_waits_for_nothing_and_nothing_is_left_on_the_loop():
    async def endless(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await asyncio.Event().wait()

    async def test():
        server = uvicorn.Server(config(endless))
        serving = asyncio.create_task(server.serve())
        await started(server)
        port = server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"begun" in await asyncio.wait_for(reader.readuntil(b"begun"), PATIENCE)
        while not serving.done():  # as the cancel scopes of anyio do
            serving.cancel()
            await asyncio.sleep(0)
        assert serving.cancelled()
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b"\r\n"
        writer.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            await asyncio.wait(left, timeout=PATIENCE)  # they are cancelled, and end
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert interpreter._count == 0

    asyncio.run(test())


def test_a_time_can_be_set_for_it():
    with in_the_midst_of_a_request(timeout_graceful_shutdown=0):
        pass


def test_signals_stop_it_and_are_raised_again():
    seen = []

    async def application(scope, receive, send):
        raise RuntimeError

    class Counting(uvicorn.Server):
        async def on_tick(self, counter):
            if counter == 1:
                signal.raise_signal(signal.SIGTERM)
            return await super().on_tick(counter)

    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        asyncio.run(Counting(config(application)).serve())
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [signal.SIGTERM]


def test_after_term_it_accepts_for_a_while_and_is_not_ready_and_another_signal_ends_that():
    server = Server(config(hello, drain_delay=900, health_path="/-/health"))
    with server.running() as url:
        assert get(f"{url}/-/health/ready").status_code == 200
        server.handle_exit(signal.SIGTERM, None)
        until(lambda: get(f"{url}/-/health/ready").status_code == 503)
        assert get(url).text.startswith("hello ")  # on a new connection
        server.handle_exit(signal.SIGINT, None)
        until(lambda: not server.started or server._serving is None)
        server._captured.clear()


def test_the_delay_after_term_ends_and_int_has_none():
    for number, is_delayed in ((signal.SIGTERM, True), (signal.SIGINT, False)):
        server = Server(config(hello, drain_delay=0.05))
        with server.running():
            server.handle_exit(number, None)
            until(lambda server=server: server._serving is None)
            server._captured.clear()
        assert bool(server._delayed_seconds) == is_delayed


def test_it_stops_after_so_many_requests():
    server = Server(config(hello, limit_max_requests=2))
    with server.running() as url:
        for _ in range(2):
            assert get(url).status_code == 200
        assert server.should_exit


def test_it_notifies_whoever_asks_for_it():
    notified = threading.Event()

    async def notify():
        notified.set()

    with Server(config(hello, callback_notify=notify, timeout_notify=0)).running():
        assert notified.wait(PATIENCE)


# ---- where it listens ----


def test_it_listens_at_sockets_that_are_given():
    made = config(hello)
    sock = made.bind_socket()
    url = f"http://127.0.0.1:{sock.getsockname()[1]}"

    class Given(Server):
        def run(self, sockets=None):
            super().run(sockets=[sock])

    with Given(made).running():
        assert get(url).status_code == 200
    assert sock.fileno() == -1


def test_it_listens_at_a_unix_socket(tmp_path):
    path = str(tmp_path / "server.sock")
    for _ in range(2):  # what a server has left is in nobody's way
        transport = httpx.HTTPTransport(uds=path, verify=False)
        client = httpx.Client(transport=transport, timeout=PATIENCE)
        with Server(config(hello, uds=path)).running(), client:
            assert client.get("http://server/").status_code == 200


def test_it_listens_at_a_descriptor():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        with Server(config(hello, fd=sock.fileno())).running() as url:
            assert get(url).status_code == 200


def test_http2_is_served_where_it_is_asked_for(tmp_path):
    pytest.importorskip("h2")
    authority = trustme.CA()
    pem = str(tmp_path / "all.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    for is_asked, version in ((True, "HTTP/2"), (False, "HTTP/1.1")):
        made = config(hello, http2=is_asked, ssl_certfile=pem, ssl_keyfile=pem)
        client = httpx.Client(http2=True, verify=context, trust_env=False, timeout=PATIENCE)
        with Server(made).running() as url, client:
            assert client.get(url.replace("http:", "https:")).http_version == version
