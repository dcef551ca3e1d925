"""Workers are replaced, and nobody notices: the new ones are ready before the old ones stop accepting.

Clients ask all the time, on connections that they keep, and each failure is counted. Nothing depends on how long
anything takes: a file holds back the start of the new workers until the test has seen what it wants to see.
"""

import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from processes import eventually
from test_live_signals import has_left, text_of

APP = "gated_consumers:routes"
COMMANDS = ["uvicorn", "gunicorn"]
GATES = ["shut-waiting", "shut-computing", "shut-startup"]


class Clients:
    """Clients that ask one after the other, each on a connection that it keeps.

    Attributes:
        pids: the workers that have answered.
        failures: whatever was not a whole answer.
    """

    def __init__(self, server, count=8):
        self.pids, self.failures, self.answers = set(), [], 0
        self._server = server
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(count)
        self._tasks = [self._pool.submit(self._ask) for _ in range(count)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stopping.set()
        self._pool.shutdown()

    def _ask(self):
        with self._server.client() as client:
            while not self._stopping.is_set():
                try:
                    answer = client.get("/")
                    assert answer.status_code == 200, answer
                    self.pids.add(int(answer.text.split()[0]))
                except Exception as error:
                    self.failures.append(repr(error))
                self.answers += 1

    def go_on(self, count=50):
        """Wait until there were more answers."""
        until = self.answers + count
        eventually(lambda: self.answers >= until, "more answers")


@pytest.fixture(params=COMMANDS)
def command(request):
    return request.param


def started(serve, command, *args, workers=2, **arguments):
    arguments.setdefault("app", APP)
    server = serve("--workers", str(workers), "--threads", "4", *args, command=command, **arguments)
    eventually(lambda: server.log().count("Serving with uvicorn") == workers, "all workers")
    return server


def is_written(path, text="x"):
    path.write_text(text)
    return path


def booted(server):
    return server.log().count("Booting worker")


def all_are_new(server, old, count=2):
    def are_there():
        now = server.workers()
        return len(now) == count and not set(now) & set(old)

    return eventually(are_there, lambda: f"new workers instead of {old}: {server.workers()}\n{server.log()}")


@pytest.mark.parametrize("gate", GATES)
def test_a_reload_is_noticed_by_nobody_however_long_the_start_takes(serve, command, gate):
    server = started(serve, command)
    old = server.workers()
    with Clients(server) as clients:
        shut = is_written(server.folder / gate)
        (server.folder / "text").write_text("second")
        server.signal(signal.SIGHUP)
        eventually(lambda: booted(server) == 4, "two new workers")
        clients.go_on()
        assert clients.pids <= set(old)
        assert set(old) <= set(server.workers())
        with server.raw() as raw:  # connections that are made now are served, too
            assert b"first" in raw.get("/", "Connection: close").receive()
        shut.unlink()
        all_are_new(server, old)
        clients.go_on()
    assert clients.failures == []
    assert server.get("/").text.endswith("second")
    assert server.stop() == 0


def test_old_workers_stay_when_new_ones_cannot_start_and_the_log_says_why(serve, command):
    server = started(serve, command)
    old = server.workers()
    with Clients(server, 4) as clients:
        for gate, words in (("broken", "RuntimeError: broken on purpose"), ("broken-startup", "broken at startup")):
            broken = is_written(server.folder / gate)
            before = server.log().count("exited with code 1")
            server.signal(signal.SIGHUP)
            # Under gunicorn each old worker says so; until then others are made in its place, which might start now.
            lines = {
                "uvicorn": ("The reload is given up, the old workers go on: ", 1),
                "gunicorn": ("the old one stays", 2),
            }
            eventually(
                lambda line=lines[command][0], count=lines[command][1], words=words: (
                    sum(line in each and words in each for each in server.log().splitlines()) >= count
                ),
                server.log,
            )
            eventually(lambda before=before: server.log().count("exited with code 1") >= before + 1, "their end")
            broken.unlink()
            eventually(lambda: sorted(server.workers()) == sorted(old), lambda: f"{old} alone:\n{server.log()}")
            clients.go_on()
        assert server.process.poll() is None
        server.signal(signal.SIGHUP)
        all_are_new(server, old)
        clients.go_on()
    assert clients.failures == []
    assert server.stop() == 0


def test_a_second_reload_during_the_first_takes_its_place(serve, command):
    server = started(serve, command)
    old = server.workers()
    with Clients(server, 4) as clients:
        shut = is_written(server.folder / "shut-waiting")
        server.signal(signal.SIGHUP)
        eventually(lambda: booted(server) == 4, "two new workers")
        first = set(server.workers()) - set(old)
        server.signal(signal.SIGHUP)
        eventually(lambda: booted(server) == 6, "two more")
        eventually(lambda: not first & set(server.workers()), "the first ones to be ended")
        clients.go_on()
        assert clients.pids <= set(old)
        shut.unlink()
        all_are_new(server, old)
        clients.go_on()
    assert clients.failures == []
    assert server.stop() == 0


@pytest.mark.parametrize("gate", ["shut-waiting", "shut-computing"])
def test_the_end_of_the_master_waits_for_no_worker_that_starts(serve, command, gate):
    server = started(serve, command)
    is_written(server.folder / gate)
    server.signal(signal.SIGHUP)
    eventually(lambda: booted(server) == 4, "two new workers")
    assert server.stop() == 0  # with a patience far below its graceful_timeout
    assert "SIGKILL" not in server.log()


def test_one_worker_less_is_one_worker_less_at_once(serve, command):
    server = started(serve, command)
    old = server.workers()
    server.signal(signal.SIGTTOU)
    eventually(lambda: len(server.workers()) == 1, "one worker")
    assert set(server.workers()) < set(old)
    assert server.get("/").status_code == 200


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_has_served_its_requests_goes_on_until_another_one_is_ready(serve, command, workers):
    server = started(serve, command, "--max-requests", "20", workers=workers)
    shut = is_written(server.folder / "shut-waiting")
    old = server.workers()

    def have_served():
        with server.raw() as raw:  # to the worker that has fewer connections, if all clients are at the other one
            assert raw.get("/").receive(until=b"first").startswith(b"HTTP/1.1 200")
        return server.log().count("Autorestarting worker after current request") >= workers

    with Clients(server, 4) as clients:
        eventually(have_served, "all workers to have served their requests")
        eventually(lambda: booted(server) > workers, "a new worker")
        clients.go_on()
        assert clients.pids <= set(old)
        shut.unlink()
        eventually(lambda: not set(old) & set(server.workers()), "others")
        clients.go_on()
    assert clients.failures == []


def test_a_worker_whose_successor_cannot_start_goes_on_and_so_does_the_master(serve, command):
    server = started(serve, command, "--max-requests", "20", workers=1)
    [old] = server.workers()
    is_written(server.folder / "broken")
    with Clients(server, 4) as clients:
        words = {"uvicorn": "A new worker could not start: RuntimeError: broken", "gunicorn": "the old one stays"}
        server.wait_for_log(words[command])
        clients.go_on()
        assert clients.pids == {old}
        assert server.process.poll() is None
        (server.folder / "broken").unlink()
        if command == "uvicorn":  # it tries again soon; the other one after a minute
            eventually(lambda: old not in server.workers(), "another one")
            clients.go_on()
    assert clients.failures == []


def test_a_new_worker_that_is_killed_while_it_starts_costs_nobody_anything(serve, command):
    """The command's master gives the reload up. Gunicorn's may make another one, for which the old one waits, too."""
    server = started(serve, command, workers=1)
    [old] = server.workers()
    with Clients(server, 4) as clients:
        shut = is_written(server.folder / "shut-waiting")
        server.signal(signal.SIGHUP)
        new = eventually(lambda: set(server.workers()) - {old}, "a new worker").pop()
        os.kill(new, signal.SIGKILL)
        if command == "uvicorn":
            server.wait_for_log("The reload is given up")
        else:
            eventually(
                lambda: set(server.workers()) - {old, new} or "the old one stays" in server.log(), server.log
            )  # fmt: skip
        clients.go_on()
        assert clients.pids == {old}
        shut.unlink()
        server.signal(signal.SIGHUP)
        all_are_new(server, [old], 1)
    assert clients.failures == []


def test_an_old_worker_that_is_killed_during_a_reload_fails_no_other_one_s_clients(serve, command):
    server = started(serve, command)
    old = server.workers()
    shut = is_written(server.folder / "shut-waiting")
    server.signal(signal.SIGHUP)
    eventually(lambda: booted(server) == 4, "two new workers")
    os.kill(old[0], signal.SIGKILL)
    eventually(lambda: old[0] not in server.workers(), "its end")
    with Clients(server, 4) as clients:
        clients.go_on()
        assert clients.pids == {old[1]}
        shut.unlink()
        all_are_new(server, old)
        clients.go_on()
    assert clients.failures == []


def test_a_preloaded_application_is_reloaded_without_a_failure(serve, command):
    server = started(serve, command, "--preload", app="gated_consumers:application")
    old = server.workers()
    with Clients(server, 4) as clients:
        server.signal(signal.SIGHUP)
        all_are_new(server, old)
        clients.go_on()
    assert clients.failures == []
    assert server.stop() == 0


# ---- what a reload changes besides ----


LISTENS = "bind = '127.0.0.1:0'\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("this is no Python", "SyntaxError"),
        ("bind = '203.0.113.1:80'", "SystemExit: see the lines before"),
        ("def on_reload(server): raise ValueError('no such thing')", "ValueError: no such thing"),
        ("def post_fork(server, worker): raise ValueError('no such thing')", "has ended before it was ready"),
    ],
    ids=["syntax", "bind", "on_reload", "post_fork"],
)
def test_a_configuration_that_cannot_be_taken_leaves_all_as_it_was(serve, command, text, words):
    if command == "gunicorn" and "Python" not in text:
        pytest.skip("one will do; what fails in a post_fork hook ends Gunicorn's master")
    config = f"{LISTENS}workers = 2\n"
    server = serve("--threads", "4", binds=(), config=config, app=APP, command=command)
    old = eventually(lambda: len(server.workers()) == 2 and server.workers(), "two workers")
    with Clients(server, 4):
        (server.folder / "conf.py").write_text(f"{LISTENS}workers = 3\nraw_env = ['A=b']\n{text}\n")
        server.signal(signal.SIGHUP)
        log = server.wait_for_log("The reload is given up")
        assert any(words in line for line in log.splitlines() if "The reload is given up" in line)
        eventually(lambda: sorted(server.workers()) == sorted(old), "the old workers alone")
        os.kill(old[0], signal.SIGKILL)  # the master can make another one, and of the former configuration
        eventually(lambda: len(server.workers()) == 2 and old[0] not in server.workers(), "another worker")
    (server.folder / "conf.py").write_text(f"{LISTENS}workers = 1\n")
    server.signal(signal.SIGHUP)
    all_are_new(server, old, 1)
    assert server.get("/").status_code == 200
    assert server.stop() == 0


def test_an_address_that_a_reload_gives_up_is_left_to_others(serve, command):
    config = f"{LISTENS}workers = 2\n"
    server = serve("--threads", "4", binds=(), config=config, app=APP, command=command)
    old = eventually(lambda: len(server.workers()) == 2 and server.workers(), "two workers")
    (server.folder / "conf.py").write_text(config.replace("127.0.0.1", "127.0.0.2"))
    server.signal(signal.SIGHUP)
    all_are_new(server, old)

    def is_free():  # not while a worker, or the master, listens there still
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                other.bind(server.address)
                other.listen()
            except OSError:
                return False
            return True

    eventually(is_free, "the address to be free")
    assert server.stop() == 0


# ---- the stop of a server that others have to notice ----


def health(server, address=None):
    with server.raw(address) as raw:
        return raw.get("/-/health/ready", "Connection: close").receive()


@pytest.fixture(params=["tcp", "unix"])
def slow_to_stop(serve, command, request, tmp_path):
    """Return a server with a long `drain_delay`, and where it listens."""
    path = str(tmp_path / "socket")
    binds = (f"unix:{path}",) if request.param == "unix" else ("127.0.0.1:0",)
    return serve(
        "--threads", "4", app=APP, command=command, binds=binds,
        env={"UVICORN_DRAIN_DELAY": "800", "UVICORN_HEALTH_PATH": "/-/health"},
    )  # fmt: skip


def test_a_server_that_stops_accepts_for_a_while_and_says_that_it_is_not_ready(slow_to_stop):
    server = slow_to_stop
    assert b"200 OK" in health(server)
    server.signal(signal.SIGTERM)
    eventually(lambda: b"503 " in health(server), "readiness to say no")
    for _ in range(3):
        with server.raw() as raw:
            assert b"200 OK" in raw.get("/").receive(until=b"first")  # the connection is kept
            assert b"200 OK" in raw.get("/").receive(until=b"first")
    server.signal(signal.SIGINT)
    assert server.wait() == 0
    assert not isinstance(server.address, str) or not os.path.exists(server.address)
    assert "SIGKILL" not in server.log()


def test_the_delay_ends_and_the_server_stops(serve, command):
    server = serve("--threads", "4", app=APP, command=command, env={"UVICORN_DRAIN_DELAY": "0.2"})
    assert server.stop() == 0
    assert "The server stops in 0.2 seconds" in server.log()
    assert "SIGKILL" not in server.log()


def test_a_worker_that_is_replaced_alone_does_not_delay(serve, command):
    server = serve("--threads", "4", app=APP, command=command, env={"UVICORN_DRAIN_DELAY": "800"})
    [old] = server.workers()
    server.signal(signal.SIGHUP)
    eventually(lambda: has_left(old), "the old worker to leave")
    assert "accepts until then" not in server.log()
    [second] = eventually(server.workers, "the new worker")
    os.kill(second, signal.SIGTERM)
    eventually(lambda: has_left(second), "it to leave, too")
    assert "accepts until then" not in server.log()


# ---- systemd ----


class Systemd:
    """A socket that is systemd's."""

    def __init__(self, name):
        self.name = name
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(name.replace("@", "\0", 1))
        self.sock.setblocking(False)
        self.messages = []

    def told(self):
        while True:
            try:
                self.messages.append(self.sock.recv(4096).decode())
            except BlockingIOError:
                return self.messages

    def has(self, line, count=1):
        return sum(line in message.split("\n") for message in self.told()) >= count

    def wait_for(self, line, count=1):
        eventually(lambda: self.has(line, count), lambda: f"{line}: {self.messages}")


@pytest.fixture(params=["path", "abstract"])
def systemd(request, tmp_path):
    made = Systemd(str(tmp_path / "notify") if request.param == "path" else f"@uvicorn-test-{os.getpid()}")
    with made.sock:
        yield made


def test_systemd_is_told_what_happens_when_it_happens(serve, systemd, tmp_path):
    folder = tmp_path / "app"
    folder.mkdir()
    shut = is_written(folder / "shut-waiting")
    env = {"NOTIFY_SOCKET": systemd.name, "WATCHDOG_USEC": "2000000"}
    server = serve("--workers", "2", "--chdir", str(folder), app=APP, env=env, is_ready=False)
    eventually(lambda: booted(server) == 2, "two workers")
    systemd.wait_for("STATUS=Starting")
    assert not systemd.has("READY=1")
    assert not systemd.has("WATCHDOG=1")
    shut.unlink()
    systemd.wait_for("READY=1")
    systemd.wait_for("STATUS=Serving: 2 of 2 workers are ready")
    systemd.wait_for("WATCHDOG=1", 3)
    is_written(shut)
    server.wait_until_listening()
    server.signal(signal.SIGHUP)
    systemd.wait_for("RELOADING=1")
    [message] = [each for each in systemd.messages if "RELOADING=1" in each]
    assert "\nMONOTONIC_USEC=" in message
    eventually(lambda: booted(server) == 4, "two new workers")
    assert not systemd.has("READY=1", 2)
    systemd.wait_for("WATCHDOG=1", 5)  # it goes on while they start
    shut.unlink()
    systemd.wait_for("READY=1", 2)
    is_written(folder / "broken")
    server.signal(signal.SIGHUP)
    systemd.wait_for("READY=1", 3)
    assert any("the reload was given up: RuntimeError: broken on purpose" in each for each in systemd.messages)
    assert server.stop() == 0
    systemd.wait_for("STOPPING=1")


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
def test_systemd_hears_of_gunicorns_own_master_only_when_a_worker_is_ready(serve, systemd, tmp_path):
    shut = is_written(tmp_path / "shut-waiting")
    env = {"NOTIFY_SOCKET": systemd.name}
    server = serve("--workers", "2", "--chdir", str(tmp_path), app=APP, command="gunicorn", env=env, is_ready=False)
    eventually(lambda: booted(server) == 2, "two workers")
    assert systemd.told() == []
    shut.unlink()
    systemd.wait_for("READY=1")
    server.signal(signal.SIGHUP)
    eventually(lambda: booted(server) == 4, "two new workers")
    assert server.stop() == 0
    assert systemd.told() == ["READY=1\nSTATUS=Serving"]


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
def test_systemd_knows_the_new_master_when_the_old_one_goes(serve, systemd):
    server = started(serve, "uvicorn", "--pid", "master.pid", workers=1, env={"NOTIFY_SOCKET": systemd.name})
    server.signal(signal.SIGHUP)  # Gunicorn copies the environment anew then
    systemd.wait_for("READY=1", 2)
    server.signal(signal.SIGUSR2)
    new = int(eventually(lambda: text_of(server.folder / "master.pid.2"), "the new master"))
    try:
        systemd.wait_for("READY=1", 3)
        assert server.stop() == 0
        systemd.wait_for(f"MAINPID={new}")
        assert not systemd.has("STOPPING=1")
        assert server.get("/").status_code == 200
    finally:
        os.kill(new, signal.SIGTERM)
        eventually(lambda: has_left(new), "the new master to leave")
    assert systemd.has("STOPPING=1")


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
def test_systemd_hears_nothing_of_a_worker_that_does_not_answer(serve, systemd):
    env = {"NOTIFY_SOCKET": systemd.name, "WATCHDOG_USEC": "100000"}
    server = serve("--timeout", "900", env=env, app=APP)
    systemd.wait_for("WATCHDOG=1")
    pid = server.worker()
    os.kill(pid, signal.SIGSTOP)
    try:
        silent = 0
        while silent < 3:  # passes of the master, one a second, in which it says nothing
            before = systemd.told().count("WATCHDOG=1")
            handled = server.log().count("Handling signal: usr1")
            server.signal(signal.SIGUSR1)
            server.wait_for_log("Handling signal: usr1", handled + 1)
            threading.Event().wait(0.5)
            silent = silent + 1 if systemd.told().count("WATCHDOG=1") == before else 0
    finally:
        os.kill(pid, signal.SIGCONT)
    systemd.wait_for("WATCHDOG=1", systemd.told().count("WATCHDOG=1") + 1)
