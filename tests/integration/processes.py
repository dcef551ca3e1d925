"""Start real servers, talk to them, and end them, each by its own process id."""

import contextlib
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx
from patience import NEVER_SECONDS as NEVER
from patience import PATIENCE_SECONDS as PATIENCE
from plain_http import PLAIN

HERE = Path(__file__).resolve().parent
# Our consumers, and the examples. Not the checkout: its source would run in place of what is installed.
PYTHONPATH = str(HERE)
# What a server waits for unless a test says otherwise: no deadline of its own answers instead of what is tested.
LIMITLESS = ("--graceful-timeout", str(NEVER), "--keep-alive", str(NEVER))
LIMITLESS_OURS = {
    f"UVICORN_{name}_TIMEOUT": str(NEVER)
    for name in (
        "HEADER",
        "BODY",
        "WRITE",
        "QUEUE",
        "REPLY",
        "WEBSOCKET_BACKLOG",
        "WEBSOCKET_HANDSHAKE",
        "WEBSOCKET_PING",
        "WEBSOCKET_CLOSE",
    )
}
LIMITLESS_OURS["UVICORN_MIN_RATE_GRACE"] = str(NEVER)
LIMITLESS_OURS["UVICORN_ACCESS_LOG"] = "false"  # the log is for what goes wrong
# A config file: what is there at a stop is waited for a second. All the rest of `graceful_timeout`, and not a tenth of
# it, is then for what the worker does at that deadline, before its master kills it.
SHORT_DRAIN = """
from uvicorn.command import leaving

leaving.drain_seconds = lambda graceful_timeout: 1.0
"""
# A config file: the master looks for silent workers only when the test has made the file "may-abort", and gives one
# that it has aborted as long as it needs to tell where it stands, or until there is the file "may-kill". For tests in
# which a loop is blocked: a worker that stands still for `timeout` would be taken for one, or killed while it tells.
PATIENT_MASTER = """
import os, signal
from gunicorn.arbiter import Arbiter

murder_workers, kill_worker = Arbiter.murder_workers, Arbiter.kill_worker

def murder(master):
    if os.path.exists("may-abort"):
        murder_workers(master)

def kill(master, pid, number):
    if number != signal.SIGKILL or os.path.exists("may-kill"):
        kill_worker(master, pid, number)

Arbiter.murder_workers, Arbiter.kill_worker = murder, kill
"""
COMMANDS = {
    "uvicorn": ["-m", "uvicorn"],
    "gunicorn": ["-m", "gunicorn", "-k", "uvicorn.ASGIWorker"],
}


def eventually(condition, what="the condition"):
    """Return what `condition` returns, as soon as it is true; it may be costlier than that of `until`.

    Args:
        what: words for what did not come true, or a function that gives them then.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            what = what() if callable(what) else what
            raise AssertionError(f"{what} did not hold within {PATIENCE:.0f} seconds")
        time.sleep(0.01)


class Server:
    """Run a Gunicorn master, and its workers, over a folder of its own.

    Args:
        args: command line arguments, after the application.
        command: "uvicorn" or "gunicorn".
        binds: addresses; port 0 is replaced by one from the kernel.
        config: text of a config file, or None.
        is_ready: wait until a worker has answered a request.
    """

    def __init__(
        self,
        folder,
        *args,
        app="live_consumers:routes",
        command="uvicorn",
        binds=("127.0.0.1:0",),
        env=None,
        config=None,
        is_ready=True,
    ):
        self._log_path = Path(folder) / "log.txt"
        self.folder = Path(folder)
        if config is not None:
            (self.folder / "conf.py").write_text(config)
            args = ("-c", "conf.py", *args)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("UVICORN_")}
        # What a test edits twice in a second, at the same size, would be taken from the bytecode of the first time.
        environment |= {"PYTHONPATH": PYTHONPATH, "PYTHONWARNINGS": "default", "PYTHONDONTWRITEBYTECODE": "1"}
        environment |= LIMITLESS_OURS | (env or {})
        words = [sys.executable, *COMMANDS[command]]
        for bind in binds:
            words += ["--bind", bind]
        words += ["--no-control-socket", *LIMITLESS, *args, *([app] if app else [])]
        with self._log_path.open("wb") as log:
            self.process = subprocess.Popen(words, cwd=folder, env=environment, stdout=log, stderr=log)
        self.pid = self.process.pid
        self._seen = set()  # workers, to be ended with the master
        self.url = ""
        self.address = None
        if is_ready:
            try:
                self._wait_until_ready()
            except BaseException:
                self.kill()
                raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    # ---- what it says and has ----

    def log(self):
        return self._log_path.read_text(errors="replace")

    def wait_for_log(self, text, count=1):
        """Wait until the log has this text; return the log."""
        eventually(lambda: self.log().count(text) >= count, lambda: f"{text!r} in the log:\n{self.log()}")
        return self.log()

    def urls(self):
        """Return what the master listens at."""
        found = re.search(r"Listening at: (\S+)", self.log())
        return found[1].split(",") if found else []

    def workers(self):
        """Return the process ids of the workers that live."""
        try:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        except OSError:
            return []
        found = [int(pid) for pid in children if _is_alive(int(pid))]
        self._seen.update(found)
        return found

    def worker(self):
        """Return the process id of the only worker."""
        [pid] = eventually(self.workers, "a worker")
        return pid

    def memory(self, name="VmRSS"):
        """Return the megabytes of the only worker: VmRSS now, VmHWM at most so far."""
        status = Path(f"/proc/{self.worker()}/status").read_text()
        return int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) / 1024

    def reset_peak(self):
        """Let VmHWM begin anew."""
        Path(f"/proc/{self.worker()}/clear_refs").write_text("5")

    # ---- clients ----

    def client(self, **arguments):
        """Return an httpx client for an address without TLS, which keeps its connections.

        By itself httpx closes one that was idle for 5 seconds, and the next request may come to another worker.
        """
        arguments.setdefault("limits", httpx.Limits(max_connections=100, keepalive_expiry=None))
        return httpx.Client(base_url=self.url, **PLAIN, **arguments)

    def get(self, path, **arguments):
        """Make one request on a connection of its own."""
        with self.client() as client:
            return client.get(path, **arguments)

    def state(self):
        return self.get("/state").json()

    def raw(self, address=None, receive_buffer=0):
        """Return a connection for raw bytes."""
        return Raw(address or self.address, receive_buffer)

    def curl(self, *words, stdin=b""):
        """Run curl; return its standard output."""
        words = ["curl", "-sS", "--noproxy", "*", "--max-time", f"{PATIENCE:.0f}", *words]
        done = subprocess.run(words, input=stdin, capture_output=True, timeout=2 * PATIENCE, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    # ---- the end ----

    def signal(self, number):
        self.workers()
        self.process.send_signal(number)

    def wait(self):
        """Wait until the master has left; return its exit code."""
        return self.process.wait(PATIENCE)

    def stop(self):
        """Ask the master to end, and wait for it."""
        self.workers()
        self.process.terminate()
        return self.wait()

    def kill(self):
        """End the master, and every worker of it, at once."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)  # it makes no new worker from here on
            self.workers()
            self.process.kill()
            self.process.wait()
        for pid in self._seen:
            with contextlib.suppress(OSError):  # a worker leaves by itself when its master has gone: perhaps just now
                if _is_alive(pid) and b"uvicorn" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)

    def wait_until_listening(self):
        def urls():
            assert self.process.poll() is None, f"the server has left:\n{self.log()}"
            return self.urls()

        self.url = eventually(urls, "listening")[0]
        self.address = address_of(self.url)

    def _wait_until_ready(self):
        self.wait_until_listening()
        plain = socket_to(self.address)
        with contextlib.closing(plain):
            if self.url.startswith("https"):
                context = ssl._create_unverified_context()
                plain = context.wrap_socket(plain)
            with contextlib.closing(plain):
                plain.sendall(b"GET /ready HTTP/1.0\r\n\r\n")
                assert plain.recv(100), self.log()
        self.workers()


class Raw:
    """A client that sends what it is told to."""

    def __init__(self, address, receive_buffer=0):
        self.socket = socket_to(address, receive_buffer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *parts):
        self.socket.sendall(b"".join(parts))
        return self

    def get(self, path, *fields):
        """Send a request without a body."""
        lines = [f"GET {path} HTTP/1.1", "Host: test", *fields]
        return self.send("\r\n".join(lines).encode(), b"\r\n\r\n")

    def begin(self, path):
        """Send a request but for its end (`end`): the connection is not idle, and not closed as such at a stop."""
        return self.send(f"GET {path} HTTP/1.1\r\nHost: test\r\n".encode())

    def end(self):
        return self.send(b"\r\n")

    def shut(self):
        """Say that nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def receive(self, until=b"", size=1 << 62):
        """Return what comes until these bytes were seen, or so many came, or the server closes."""
        got = bytearray()
        while len(got) < size and not (until and until in got[-len(until) - 65536 :]):
            data = self.socket.recv(min(65536, size - len(got)))
            if not data:
                break
            got += data
        return bytes(got)

    def is_closed(self):
        """Whether the server closes now, without another byte."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def reset(self):
        """Vanish with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()


def descriptors(pid):
    """Yield the descriptors of a process: the path by which the file is reached, and its name. Some close meanwhile."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            yield link, os.readlink(link)


def socket_to(address, receive_buffer=0, patience=PATIENCE):
    if isinstance(address, str):
        family = socket.AF_UNIX
    elif ":" in address[0]:
        family = socket.AF_INET6
    else:
        family = socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.settimeout(patience)
    if receive_buffer:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        made.connect(address)
    except BaseException:
        made.close()
        raise
    return made


def address_of(url):
    """Return the socket address of one of Gunicorn's listeners."""
    if url.startswith("unix:"):
        return url.removeprefix("unix:")
    host, _, port = url.partition("://")[2].rpartition(":")
    return host.strip("[]"), int(port)


def halt(pid):
    """Stop a process, which SIGCONT has go on; return when it does nothing more, not when it is about to be told."""
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: _state_of(pid) == "T", f"process {pid} to stop")


def _is_alive(pid):
    return _state_of(pid) not in ("", "Z")


def _state_of(pid):
    """Return the letter that the system has for what a process does; "" if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[0]
