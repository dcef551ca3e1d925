"""WSGI and ASGI applications under both commands, and what an application does first and last."""

import re

import pytest
from checking import check_config
from processes import COMMANDS, NEVER, SHORT_DRAIN, eventually

PLAIN = "GET / HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("app", "args", "answer"),
    [
        ("live_interfaces", (), "wsgi |/a b 3 uvicorn-consumer-"),
        ("live_interfaces:validated", (), "wsgi |/a b 3 uvicorn-consumer-"),
        ("live_interfaces:application", ("--threads", "2"), "wsgi |/a b 3 uvicorn-consumer-"),
        ("live_interfaces:service", (), "asgi |/a b 3 MainThread"),
    ],
)
def test_either_command_serves_an_application_by_its_name(serve, command, app, args, answer):
    server = serve(*args, app=app, command=command)

    with server.client() as client:
        assert client.post("/a%20b", content=b"xyz").text.rstrip("0123456789") == answer  # in whichever thread
    assert "Traceback" not in server.log()


def test_the_name_that_existing_command_lines_use_serves(serve):
    server = serve("-k", "uvicorn.workers.UvicornWorker", app="live_interfaces:service", command="gunicorn")

    assert server.get("/x").text == "asgi |/x 0 MainThread"


@pytest.mark.parametrize("command", COMMANDS)
def test_several_applications_are_named_on_the_command_line(serve, command):
    names = ["/=live_interfaces:application", "/api=live_interfaces:service", "/m/=live_consumers:routes"]
    if command == "gunicorn":  # it takes one name
        server = serve(app=" ".join(names), command=command)
    else:
        server = serve(*names[1:], app=names[0], command=command)

    with server.client() as client:
        assert client.get("/x").text.startswith("wsgi |/x")
        assert client.get("/apix").text.startswith("wsgi |/apix")
        assert client.get("/api/x").text == "asgi /api|/api/x 0 MainThread"
        assert client.get("/m/async/hello").status_code == 200
        assert client.get("/m/sync/describe").json()["root_path"] == "/m"
        assert client.get("/m/nowhere").text.startswith("wsgi |/m/nowhere")


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["/=live_interfaces:application", "/=live_interfaces:service"], "'/' is given twice"),
        (["/=live_interfaces:application", "api=live_interfaces:service"], "write /prefix=module:name"),
        (["/=live_interfaces:applicatio"], "did you mean 'application'?"),
        (["--interface", "asgi", "live_interfaces:application"], "cannot be called with three arguments"),
        (["--interface", "wsgi", "live_interfaces:service"], "is asynchronous, and a WSGI application is not"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(tmp_path, args, sentence):
    done = check_config(tmp_path, "uvicorn", *args)

    assert done.returncode == 4
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wsgi_response_is_streamed_held_back_and_closed(serve):
    server = serve("--threads", "2", app="live_interfaces:rows")
    closed = server.folder / "closed.txt"

    assert len(server.get("/whole").content) == 50 * 10_000
    # With the one of the start; it is closed after its last part was sent, so the next one may have another thread.
    of_pool = re.compile(r"(closed in uvicorn-consumer-[12]\n){2}")
    eventually(lambda: closed.exists() and of_pool.fullmatch(closed.read_text()), "the closed response")
    client = server.raw(receive_buffer=4096)
    client.get("/endless").receive(size=100_000)
    before = server.memory()
    assert server.get("/whole").status_code == 200  # the other thread serves
    assert server.memory() - before < 20  # megabytes, of a gigabyte
    client.reset()
    eventually(lambda: len(closed.read_text().splitlines()) == 4, "the closed response")


def test_a_wsgi_response_is_closed_when_the_worker_stops(serve):
    server = serve("--threads", "2", app="live_interfaces:rows", config=SHORT_DRAIN)
    closed = server.folder / "closed.txt"

    with server.raw(receive_buffer=4096) as client:
        client.get("/endless").receive(size=100_000)
        # That of the start; it is closed after its last part was sent.
        eventually(
            lambda: closed.exists() and closed.read_text().count("closed in") == 1, "the closed response of the start"
        )
        assert server.stop() == 0
    assert closed.read_text().count("closed in") == 2


# ---- first and last ----


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_to_start_and_stop_does_so_each_on_its_side(serve, command):
    server = serve(app="live_interfaces:living_routes", command=command, env={"HAS_HOOKS": "1"})

    assert server.get("/").text == "from the lifespan"
    assert server.stop() == 0
    assert (server.folder / "life.txt").read_text().splitlines() == [
        "sync starts uvicorn-consumer-",
        "async starts MainThread",
        "lifespan starts MainThread",
        "lifespan stops MainThread",
        "sync stops uvicorn-consumer-",
        "async stops MainThread",
    ]
    assert "[ERROR]" not in server.log()


def test_a_quick_stop_is_told_too(serve):
    import signal

    server = serve(app="live_interfaces:living")
    server.signal(signal.SIGINT)
    server.wait()

    assert "lifespan stops" in (server.folder / "life.txt").read_text()


@pytest.mark.parametrize(
    ("fails", "sentence"),
    [("lifespan", "failed to start: no database"), ("sync", "LookupError: no configuration")],
)
def test_an_application_that_cannot_start_stops_the_server(serve, fails, sentence):
    env = {"HAS_HOOKS": "1", "FAILS": fails}
    server = serve(app="live_interfaces:living_routes", env=env, is_ready=False)

    assert server.wait() == 3
    assert sentence in server.log()
    assert "Worker failed to boot" in server.log()
    stopped = [line for line in (server.folder / "life.txt").read_text().splitlines() if "stops" in line]
    assert len(stopped) == (2 if fails == "lifespan" else 0)


def test_no_lifespan_is_no_error_unless_it_is_wanted(serve):
    server = serve("--log-level", "debug", app="live_interfaces:service")
    assert "live_interfaces.service has no lifespan" in server.log()
    assert "Traceback" not in server.log()

    server = serve("--asgi-lifespan", "on", app="live_interfaces:service", is_ready=False)
    assert server.wait() == 3
    assert "did not answer lifespan.startup, and asgi_lifespan is 'on'" in server.log()

    server = serve("--asgi-lifespan", "off", app="live_interfaces:living")
    assert not (server.folder / "life.txt").exists()


def test_a_worker_that_still_starts_can_be_stopped(serve):
    env = {"HAS_HOOKS": "1", "BLOCKS": "1"}
    server = serve("--timeout", str(NEVER), app="live_interfaces:living_routes", env=env, is_ready=False)
    eventually((server.folder / "life.txt").exists, "the start")
    server.workers()

    server.process.terminate()
    assert server.wait() == 0
    assert "WORKER TIMEOUT" not in server.log()
