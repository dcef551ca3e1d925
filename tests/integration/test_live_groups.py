"""Groups and channels over real workers."""

import contextlib
import json
import os
import signal
import stat
import tempfile
from pathlib import Path

import pytest
from ports import free_port
from processes import PATIENCE, PYTHONPATH, eventually
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

APP = "group_consumers:routes"


class Member:
    """One socket in the room; `pid` is that of its worker."""

    def __init__(self, socket):
        self.socket = socket
        first = self.receive()
        self.pid, self.name = first["pid"], first["name"]

    def receive(self):
        return json.loads(self.socket.recv(PATIENCE))

    def receive_until(self, **keys):
        """Take what comes until something has these keys and values."""
        while True:
            found = self.receive()
            if keys.items() <= found.items():
                return found

    def is_closed(self):
        try:
            self.socket.recv(0.01)
        except ConnectionClosed:
            return True
        except TimeoutError:
            return False
        return False


@contextlib.contextmanager
def members_on(server, workers):
    """Open sockets until there are members on so many workers."""
    with contextlib.ExitStack() as stack:
        found = []

        def is_enough():
            url = server.url.replace("http", "ws", 1)
            socket = connect(url, open_timeout=PATIENCE, close_timeout=PATIENCE, proxy=None)
            found.append(Member(stack.enter_context(socket)))
            return len({member.pid for member in found}) >= workers

        eventually(is_enough, "members on all workers")
        yield found


@pytest.fixture
def private():
    # A short path: that of a unix socket has a limit.
    with tempfile.TemporaryDirectory(prefix="uvicorn-") as path:
        yield path


def test_a_message_reaches_members_on_all_workers_from_each_side(serve):
    server = serve("--workers", "2", app=APP)
    with members_on(server, 2) as members:
        members[0].socket.send("hello")
        for member in members:
            member.receive_until(said="hello", pid=members[0].pid)
        server.get("/publish")
        for member in members:
            member.receive_until(said="from the loop")
        server.get("/job?7")
        for member in members:
            member.receive_until(done=7)


def test_a_worker_that_is_killed_takes_its_members_with_it_and_nobody_else(serve):
    server = serve("--workers", "2", app=APP)
    with members_on(server, 2) as members:
        dead = members[0].pid
        left = [member for member in members if member.pid != dead]
        os.kill(dead, signal.SIGKILL)
        eventually(lambda: len({*server.workers()} - {dead}) == 2, "a new worker")
        gone = [member for member in members if member.pid == dead]
        eventually(lambda: all(member.is_closed() for member in gone), "the end of its sockets")
        with members_on(server, 2) as more:  # the new one has joined
            left[0].socket.send("still there")
            for member in (*left, *more):
                member.receive_until(said="still there")


def test_a_worker_that_is_added_joins_and_one_that_is_taken_away_leaves(serve):
    server = serve("--workers", "1", app=APP)
    with members_on(server, 1) as members:
        os.kill(server.pid, signal.SIGTTIN)
        eventually(lambda: len(server.workers()) == 2, "a second worker")
        with members_on(server, 2) as more:
            members[0].socket.send("all")
            for member in (*members, *more):
                member.receive_until(said="all")
        os.kill(server.pid, signal.SIGTTOU)
        eventually(lambda: len(server.workers()) == 1, "the end of the older worker")
        assert "Traceback" not in server.log()
    server.stop()
    assert "could not be sent" not in server.log()


@pytest.mark.parametrize("kind", ["local", "redis"])
def test_a_master_that_is_killed_takes_its_workers_with_it_and_no_other_master(request, serve, private, kind):
    if kind == "redis":
        layer = ("--channel-layer", f"{request.getfixturevalue('redis').url}?prefix=master&claim=1")
    else:
        layer = ("--channel-layer", f"local://{private}/layer")
    dying = serve("--workers", "2", *layer, app=APP)
    left = serve("--workers", "1", *layer, app=APP)
    with members_on(dying, 2) as gone, members_on(left, 1) as [member]:
        gone[0].socket.send("all are there")
        for each in (*gone, member):
            each.receive_until(said="all are there")
        os.kill(dying.pid, signal.SIGKILL)
        eventually(lambda: all(each.is_closed() for each in gone), "the end of its workers' sockets")
        if kind == "local":
            eventually(lambda: len(list(Path(private, "layer").glob("*.sock"))) == 1, "the sockets of its workers gone")
        with members_on(serve("--workers", "1", *layer, app=APP), 1) as [new]:
            new.socket.send("after")
            for each in (new, member):
                each.receive_until(said="after")
            left.get("/job?7")
            member.receive_until(done=7)
    assert "Traceback" not in left.log()
    assert "Traceback" not in dying.log()


def test_a_background_worker_takes_the_messages_of_a_server_and_binds_nothing(serve, private):
    layer = ("--channel-layer", f"local://{private}/layer")
    server = serve("--exclude-channels", "*", *layer, app=APP)
    background = serve("--only-channels", "jobs", *layer, app=APP, binds=(), is_ready=False)
    background.wait_for_log("Channels consumed here: jobs")
    assert stat.S_IMODE(Path(private, "layer").stat().st_mode) == 0o700
    with members_on(server, 1) as [member]:
        for number in range(20):
            server.get(f"/job?{number}")
        done = {}  # in any order: it has several threads
        while len(done) < 20:
            found = member.receive()
            if "done" in found:
                done[found["done"]] = found["pid"]
    assert done == dict.fromkeys(range(20), background.worker())
    assert background.urls() == []
    log = background.log()
    assert ", at no address" in log
    assert "Listening at" not in log


def test_channels_that_would_get_no_message_are_refused_with_the_remedy(serve):
    server = serve("--only-channels", "*", app=APP, is_ready=False)
    server.wait_for_log("give the server and this process the same local:///path, or a redis:// URL")
    assert "Traceback" not in server.log()


def test_a_directory_that_others_may_enter_is_refused_and_the_worker_serves_alone(serve, private):
    open_to_all = Path(private, "layer")
    open_to_all.mkdir(mode=0o755)
    open_to_all.chmod(0o755)
    server = serve("--channel-layer", f"local://{open_to_all}", app=APP)
    server.wait_for_log("must belong to the user that runs this process, with mode 700")
    with members_on(server, 1) as [member]:
        member.socket.send("alone")
        member.receive_until(said="alone")


def test_nothing_is_left_of_a_server_that_has_stopped(serve, private):
    path = Path(private, "layer")
    server = serve("--workers", "2", "--channel-layer", f"local://{path}", app=APP)
    eventually(lambda: len(list(path.glob("*.sock"))) == 2, "the sockets of both workers")
    server.stop()
    assert not path.exists()


@pytest.mark.parametrize("layer", [(), ("--channel-layer", "redis://127.0.0.1:1/0")], ids=["local", "redis"])
@pytest.mark.parametrize("missing", ["msgpack", "redis"])
def test_a_package_that_is_missing_is_told_in_one_sentence_at_the_start(serve, tmp_path, missing, layer):
    (tmp_path / "sitecustomize.py").write_text(HIDING.replace("MISSING", missing))
    is_needed = layer or missing == "msgpack"
    server = serve(
        "--workers", "2", *layer, app=APP, env={"PYTHONPATH": f"{tmp_path}:{PYTHONPATH}"}, is_ready=not layer
    )
    if is_needed:
        server.wait_for_log("which is not installed: pip install" if layer else "msgpack is not installed. pip install")
    if not layer:
        assert server.get("/").text == "ready"
        status = server.get("/publish").status_code
        assert status == (500 if is_needed else 200)
        assert ("Groups and channels cannot be used" in server.log()) is is_needed
    else:
        assert "Traceback" not in server.log()


HIDING = """
import importlib.abc, sys

class Hiding(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "MISSING":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hiding())
"""


# ---- Redis ----


def test_two_masters_with_redis_are_one_server(serve, redis):
    layer = ("--channel-layer", f"{redis.url}?prefix=two")
    servers = [serve("--workers", "2", *layer, app=APP) for _ in range(2)]
    with members_on(servers[0], 2) as near, members_on(servers[1], 2) as far:
        near[0].socket.send("hello")
        for member in (*near, *far):
            member.receive_until(said="hello", pid=near[0].pid)
        servers[1].get("/job?7")
        for member in (*near, *far):
            member.receive_until(done=7)


def test_no_message_of_a_channel_is_lost_when_background_workers_are_killed(serve, redis):
    """Kill a worker again and again while messages come: each is done once at least."""
    layer = ("--channel-layer", f"{redis.url}?prefix=kill&claim=1", "--channel-capacity", "100000")
    server = serve("--exclude-channels", "*", *layer, app=APP)
    background = serve("--only-channels", "jobs", "--workers", "2", *layer, app=APP, binds=(), is_ready=False)
    background.wait_for_log("Channels consumed here: jobs", 2)
    done = set()
    with members_on(server, 1) as [member], server.client() as client:
        for number in range(400):
            client.get(f"/job?{number}")
            if number in (100, 200, 300):
                os.kill(eventually(background.workers)[0], signal.SIGKILL)
        while len(done) < 400:
            found = member.receive()
            if "done" in found:
                done.add(found["done"])
    assert done == set(range(400))


def test_a_server_starts_and_serves_while_redis_is_not_there(serve):
    server = serve("--channel-layer", f"redis://127.0.0.1:{free_port()}/0?timeout=1", app=APP)
    assert server.wait_for_log("cannot be reached").count("cannot be reached") == 1
    assert server.get("/job?1").status_code == 500  # ChannelLayerUnavailable
    assert server.get("/").text == "ready"
