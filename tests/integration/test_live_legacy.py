"""A project of Channels 1 through the running server, with the imports of its time, under a current Django."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys

import pytest
import redis_server
from browsers import Page, browsing, needs_browser
from processes import PATIENCE, PYTHONPATH, Server
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect


def manage(folder, *words):
    env = {**os.environ, "PYTHONPATH": PYTHONPATH, "SQLITE_PATH": str(folder / "db.sqlite3")}
    words = [sys.executable, "-m", "uvicorn.channels1", "-m", "legacy.manage", *words]
    return subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=PATIENCE)


def migrated(folder):
    made = manage(folder, "migrate", "-v0", "--run-syncdb")
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = migrated(tmp_path_factory.mktemp("legacy"))
    with started(folder, "--workers", "2") as server:
        yield server


def started(folder, *args, database=None, app="legacy.asgi:channel_layer", **env):
    """Start the project; `database` is the folder of another one's."""
    env["SQLITE_PATH"] = str((database or folder) / "db.sqlite3")
    return Server(folder, "--channels1", "--threads", "4", *args, app=app, env=env)


@contextlib.contextmanager
def opened(server, path, session=None, **options):
    headers = {"Cookie": f"sessionid={session}"} if session else {}
    url = server.url.replace("http", "ws", 1) + path
    patience = {"open_timeout": PATIENCE, "close_timeout": PATIENCE, "proxy": None}
    with connect(url, additional_headers=headers, **patience, **options) as socket:
        yield socket


def heard(socket):
    return json.loads(socket.recv(PATIENCE))


def said(socket, **values):
    socket.send(json.dumps(values))


def login(server, name):
    return server.get(f"/login/{name}").text


# ---- getting started ----


def test_the_first_consumer(server):
    assert server.get("/started/hello").text == "Hello world! You asked for /started/hello"


def test_what_has_no_route_is_for_the_views_of_django(server):
    with server.client() as client:
        assert client.get("/whoami").text == "nobody"
        client.get("/login/ann")
        assert client.get("/whoami").text == "ann"
        assert client.get("/nowhere").status_code == 404


def test_an_upload_for_a_view(server):
    content = os.urandom(1 << 20) * 5
    with server.client() as client:
        done = client.post("/upload", files={"file": ("big.bin", content)}).json()
    assert done == {"name": "big.bin", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_an_echo(server):
    with opened(server, "/started/echo") as socket:
        socket.send("hello")
        assert socket.recv(PATIENCE) == "hello"


def test_sockets_push_through_a_group(server):
    with opened(server, "/started/group") as one, opened(server, "/started/group") as two:
        joined(one, two)
        one.send("hello")
        for socket in (one, two):
            until_heard(socket, "[user] hello", "[user] here ")  # those of two senders come in any order


def joined(*sockets):
    """Wait until each of them is in the group: a consumer accepts before it joins."""
    for number, socket in enumerate(sockets):
        socket.send(f"here {number}")
        for other in sockets[: number + 1]:
            while other.recv(PATIENCE) != f"[user] here {number}":
                pass


def until_heard(socket, expected, other):
    """Take what comes until this; before it, there may be what has the other word in it."""
    while (got := socket.recv(PATIENCE)) != expected:
        assert other in got, got


def test_a_consumer_that_never_accepts_has_accepted_and_its_session_is_kept(server):
    with opened(server, "/started/room/blue") as one, opened(server, "/started/room/blue") as two:
        one.send("hello")  # by the channel chat-messages, whose consumer writes it down
        assert [one.recv(PATIENCE), two.recv(PATIENCE)] == ["hello"] * 2


def test_a_view_pushes_to_sockets(server):
    with opened(server, "/started/room/red") as socket:
        assert server.get("/announce/room/red?text=news").status_code == 404
        assert server.get("/announce/red?text=news").text == "announced"
        assert socket.recv(PATIENCE) == "news"


def test_a_view_counts_who_is_in_a_group(server):
    with contextlib.ExitStack() as stack:
        for number in range(5):
            assert len({*server.get("/members/green").json()}) == number
            stack.enter_context(opened(server, "/started/room/green"))
        assert len({*server.get("/members/green").json()}) == 5


def test_users_come_from_the_session_of_the_browser(server):
    bob = login(server, "bob")
    with opened(server, "/started/user", bob) as socket:
        socket.send("hello")
        assert socket.recv(PATIENCE) == "bob: hello"
    with opened(server, f"/started/user?session_key={bob}") as socket:
        socket.send("hello")
        assert socket.recv(PATIENCE) == "bob: hello"
    with opened(server, "/started/user") as socket:
        socket.send("hello")
        assert socket.recv(PATIENCE) == "nobody: hello"


def test_only_pages_of_allowed_hosts_open_sockets(server):
    with opened(server, "/started/allowed", origin="http://example.org") as socket:
        assert socket.recv(PATIENCE) == "allowed"
    for origin in ("http://evil.example", None):
        with pytest.raises(InvalidStatus) as refused, opened(server, "/started/allowed", origin=origin):
            pass
        assert refused.value.response.status_code == 403


@pytest.mark.parametrize("path", ["/started/group", "/started/room/blue", "/streams", "/anywhere", "/words"])
def test_the_subprotocol_of_a_socket_is_the_first_that_the_settings_have(server, path):
    for offered, chosen in ((["none", "other", "graphql-ws"], "other"), (["none"], None)):
        with opened(server, path, subprotocols=offered) as socket:
            assert socket.subprotocol == chosen


def test_messages_are_in_order(server):
    with opened(server, "/started/ordered") as socket:
        for number in range(20):
            socket.send(str(number))
        assert [socket.recv(PATIENCE) for _ in range(20)] == [f"{number + 1} {number}" for number in range(20)]


# ---- multichat ----


@pytest.fixture(scope="module")
def rooms(server):
    text = "from legacy.multichat.models import Room; "
    text += "Room(id=1, title='Open').save(); Room(id=2, title='Staff', staff_only=True).save(); "
    text += "Room(id=4, title='Open').save()"
    done = manage(server.folder, "shell", "-c", text)
    assert done.returncode == 0, done.stderr


def join(socket, name, room):
    """Join an open room: all that the consumer has sent goes out, in order, when it has returned.

    Each test has a room of its own: those of another one leave theirs when that is over, and others are told.
    """
    said(socket, command="join", room=room)
    assert heard(socket) == {"room": str(room), "message": None, "username": name, "msg_type": 4}
    assert heard(socket) == {"join": str(room), "title": "Open"}


def test_many_rooms_on_one_socket(server, rooms):
    with (
        opened(server, "/chat/stream", login(server, "cleo")) as cleo,
        opened(server, "/chat/stream", login(server, "dan")) as dan,
    ):
        join(cleo, "cleo", 1)
        join(dan, "dan", 1)
        assert heard(cleo) == {"room": "1", "message": None, "username": "dan", "msg_type": 4}
        said(dan, command="send", room=1, message="hello")
        for socket in (cleo, dan):
            assert heard(socket) == {"room": "1", "message": "hello", "username": "dan", "msg_type": 0}
        said(dan, command="leave", room=1)
        assert heard(dan) == {"leave": "1"}
        said(dan, command="send", room=1, message="still there?")
        assert heard(dan) == {"error": "ROOM_ACCESS_DENIED"}
        for room, error in ((2, "ROOM_ACCESS_DENIED"), (3, "ROOM_INVALID")):
            said(cleo, command="join", room=room)
            assert heard(cleo) == {"error": error}


def test_who_leaves_without_a_word_is_told_of(server, rooms):
    with opened(server, "/chat/stream", login(server, "eve")) as eve:
        join(eve, "eve", 4)
        with opened(server, "/chat/stream", login(server, "fred")) as fred:
            join(fred, "fred", 4)
            assert heard(eve)["msg_type"] == 4
        assert heard(eve) == {"room": "4", "message": "left", "username": "fred", "msg_type": 5}


def test_who_is_not_logged_in_is_told_so(server, rooms):
    with opened(server, "/chat/stream") as socket:
        said(socket, command="join", room=1)
        assert heard(socket) == {"error": "USER_HAS_TO_LOGIN"}


# ---- liveblog ----


def test_a_view_that_saves_a_model_pushes_to_sockets(server):
    server.get("/post/news/first")
    with opened(server, "/liveblog/news/stream/") as one, opened(server, "/liveblog/news/stream/") as two:
        server.get("/post/news/second")
        assert heard(one) == heard(two) == {"id": 2, "html": "<p>second</p>"}


def test_a_consumer_answers_and_closes_at_once(server):
    with opened(server, "/liveblog/none/stream/") as socket:
        assert heard(socket) == {"error": "bad_slug"}
        with pytest.raises(ConnectionClosed):
            socket.recv(PATIENCE)


# ---- data binding ----


def test_changes_of_a_model_come_to_sockets(server):
    with opened(server, "/binding/") as socket:
        assert server.get("/value/one/1").text == "changed"
        created = heard(socket)
        pk = created["payload"]["pk"]
        data = {"name": "one", "value": 1}
        payload = {"action": "create", "pk": pk, "data": data, "model": "binding.integervalue"}
        assert created == {"stream": "intval", "payload": payload}
        assert server.get("/value/one/2").text == "changed"
        assert heard(socket)["payload"] == {**payload, "action": "update", "data": {"name": "one", "value": 2}}
        said(socket, stream="intval", payload={"action": "update", "pk": pk, "data": {"value": 3}})
        assert heard(socket)["payload"]["data"] == {"name": "one", "value": 3}
        assert server.get("/values").json() == {"one": 3}
        said(socket, stream="intval", payload={"action": "create", "data": {"name": "two", "value": 5}})
        assert heard(socket)["payload"]["action"] == "create"
        said(socket, stream="intval", payload={"action": "delete", "pk": pk})
        assert heard(socket)["payload"]["action"] == "delete"
        assert server.get("/values").json() == {"two": 5}


# ---- generic consumers ----


def test_a_generic_consumer_has_groups_and_users(server):
    with opened(server, "/generic/7", login(server, "gus")) as gus:
        with opened(server, "/generic/8", login(server, "hal")) as hal:
            hal.send("hello")
            for socket in (hal, gus):
                until_heard(socket, "8 hal hello", " left")  # those of other tests, who were in the same group
            hal.send(b"abc")
            until_heard(hal, b"cba", " left")
        until_heard(gus, "hal left", " left")


def test_a_socket_stays_open_after_an_error_in_a_message(server):
    with opened(server, "/generic/9", login(server, "ida")) as socket:
        socket.send("fail")
        socket.send("again")
        until_heard(socket, "9 ida again", " left")
        server.wait_for_log("RuntimeError: as it was asked")
        socket.send("close")
        with pytest.raises(ConnectionClosed) as closed:
            until_heard(socket, None, " left")
        assert closed.value.rcvd.code == 4001


def test_both_sessions_are_there_for_all_messages(server):
    session = login(server, "jon")
    with opened(server, "/session", session) as socket:
        for number in (1, 2):
            socket.send("hello")
            assert socket.recv(PATIENCE) == f"{number} jon {session}"


def test_json(server):
    with opened(server, "/json") as socket:
        said(socket, a=[1, None])
        assert heard(socket) == {"got": {"a": [1, None]}}
        socket.send('"bye"')
        assert heard(socket) == {"got": "bye"}
        with pytest.raises(ConnectionClosed):
            socket.recv(PATIENCE)


def test_several_streams_on_one_socket(server):
    with opened(server, "/streams") as socket:
        assert heard(socket) == {"stream": "echo", "payload": {"status": "I just connected!"}}
        said(socket, stream="echo", payload={"a": 1})
        assert heard(socket) == {"stream": "echo", "payload": {"original_message": {"a": 1}}}
        said(socket, stream="other", payload={"a": 1})
        server.wait_for_log("SendNotAvailableOnDemultiplexer")
        said(socket, stream="none", payload={})
        server.wait_for_log("the stream 'none'")
        said(socket, stream="echo", payload={"a": 2})
        assert heard(socket)["payload"] == {"original_message": {"a": 2}}


@needs_browser
def test_pages_open_their_sockets_with_the_script_that_came_with_channels(server, tmp_path):
    with browsing(f"{server.url}/bridge", tmp_path), Page(tmp_path) as page:

        def wait_for(stream, action):
            told = json.dumps([stream, action])
            page.wait_for(f"heard.some(each => JSON.stringify(each) === JSON.stringify({told}))")

        page.wait_for("typeof plain === 'object'")
        wait_for(None, {"got": {"a": 1}})
        wait_for("echo", {"status": "I just connected!"})
        wait_for("echo", {"original_message": {"number": 1}})
        page.evaluate("streams.socket.close()")
        wait_for("echo", {"original_message": {"number": 2}})  # it has connected again
        page.evaluate("plain.socket.close(1000, '', {keepClosed: true})")
        page.wait_for("plain.socket.readyState === plain.socket.CLOSED")
        assert page.evaluate("plain.socket._timer === null && !heard.some(each => each[0] === 'none')")


@pytest.mark.parametrize("greeting", ["page", "other"])
def test_a_class_for_requests(server, greeting):
    response = server.get(f"/{greeting}/7")
    assert (response.status_code, response.text, response.headers["x-greeting"]) == (200, f"{greeting} 7", greeting)


def test_patterns_on_what_a_message_says(server):
    with opened(server, "/words") as socket:
        for word in ("one", "hello ann", "three", "hello"):
            socket.send(word)
        expected = ["early: one", "hello, I am not ann", "other: three", "other: hello"]
        assert [socket.recv(PATIENCE) for _ in expected] == expected


def test_a_consumer_denies_a_connection(server):
    with pytest.raises(InvalidStatus) as refused, opened(server, "/deny"):
        pass
    assert refused.value.response.status_code == 403


def test_a_message_is_consumed_later(server):
    with opened(server, "/twice") as socket:
        assert socket.recv(PATIENCE) == "tried 3 times"


def test_sockets_without_a_route_are_accepted(server):
    with opened(server, "/anywhere") as socket:
        socket.send("nobody hears this")
        assert socket.ping().wait(PATIENCE)


# ---- later ----


def test_a_view_leaves_its_response_to_a_consumer(server):
    assert server.get("/later?text=hello").text == "later: hello"


def test_connections_of_the_database_are_closed_when_a_consumer_has_returned(server):
    assert {server.get("/connections").text for _ in range(30)} == {"no"}


def test_a_delayed_message(server):
    with opened(server, "/remind") as socket:
        socket.send("this")
        assert socket.recv(PATIENCE) == "remember this"


def test_the_routes_alone_are_served_too(tmp_path):
    env = {"DJANGO_SETTINGS_MODULE": "legacy.settings"}
    with Server(tmp_path, "--channels1", app="legacy.routing:channel_routing", env=env) as server:
        assert server.get("/started/hello").status_code == 200
        assert server.get("/nowhere").status_code == 404


@pytest.mark.skipif(redis_server.program() is None, reason="redis-server is not installed")
def test_the_hosts_of_the_settings_connect_two_machines(tmp_path_factory):
    folders = [migrated(tmp_path_factory.mktemp("first")), tmp_path_factory.mktemp("second")]
    env = {"app": "channels.asgi:get_channel_layer", "DJANGO_SETTINGS_MODULE": "legacy.settings"}  # as of runserver
    with (
        contextlib.closing(redis_server.RedisServer()) as redis,
        started(folders[0], REDIS_URL=redis.url) as one,
        started(folders[1], "--factory", REDIS_URL=redis.url, database=folders[0], **env) as two,
        opened(one, "/started/room/blue") as first,
        opened(two, "/started/room/blue") as second,
    ):
        first.send("hello")
        assert [first.recv(PATIENCE), second.recv(PATIENCE)] == ["hello"] * 2


def test_a_later_channels_that_is_installed_stops_the_start_with_one_sentence(tmp_path):
    info = tmp_path / "channels-4.2.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: channels\nVersion: 4.2.2\n")
    with Server(tmp_path, "--channels1", app="legacy.asgi:channel_layer", is_ready=False) as server:
        assert server.process.wait(PATIENCE) == 4
        log = server.log()
    assert "channels 4.2.2 is installed, and --channels1 is for projects of Channels 1: leave" in log
    assert "Traceback" not in log


def test_tests_of_consumers_run_as_they_were_written(tmp_path):
    done = manage(tmp_path, "test", "legacy", "-v1")
    assert done.returncode == 0, done.stderr
    assert "Ran 60 tests" in done.stderr


@pytest.mark.parametrize("command", ["runworker", "rundelay"])
def test_commands_that_are_not_needed_say_what_to_run(tmp_path, command):
    done = manage(tmp_path, command, "--threads", "4")
    assert done.returncode == 1
    assert "CommandError" in done.stderr
