"""The chat of the examples: over both kinds of consumers, and while its workers are replaced and killed."""

import contextlib
import json
import os
import signal

import pytest
import redis_server
from browsers import Page, browsing, needs_browser
from chat_client import ChatClient
from processes import PATIENCE, eventually, halt
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

APP = "examples.chat:routes"
SIDES = ("sync", "async")


@pytest.fixture
def redis():
    if redis_server.program() is None:
        pytest.skip("redis-server is not installed")
    made = redis_server.RedisServer(keeps=True)
    yield made
    made.close()


@pytest.fixture(params=["local", "redis"])
def masters(request, serve):
    """Start one master with two workers, or two with Redis between them."""
    if request.param == "local":
        return [serve("--workers", "2", "--threads", "2", app=APP)]
    url = request.getfixturevalue("redis").url
    return [serve("--threads", "2", "--channel-layer", f"{url}?prefix=chat", app=APP) for _ in range(2)]


def url_of(server, side="async"):
    return f"{server.url.replace('http', 'ws', 1)}/{side}"


def opened(server, side, **options):
    return connect(url_of(server, side), open_timeout=PATIENCE, close_timeout=PATIENCE, proxy=None, **options)


def enter(socket, name):
    """Join the room; return what the room says of it."""
    socket.send(json.dumps({"name": name}))
    told = [json.loads(socket.recv(PATIENCE)) for _ in range(2)]
    [standing] = [each for each in told if "missed" in each]
    [line] = [json.loads(each["text"]) for each in told if "text" in each]
    return standing, line


def line_from(socket):
    return json.loads(json.loads(socket.recv(PATIENCE))["text"])


def texts_from(socket, count):
    return [line_from(socket)["text"] for _ in range(count)]


def replace(server):
    """Have all workers of a master replaced in order, and wait until new ones are there."""
    old = {*server.workers()}
    server.signal(signal.SIGHUP)
    eventually(lambda: server.workers() and not old & {*server.workers()}, "new workers")


def test_the_chat_room_is_shared_by_both_kinds_and_refuses_other_sites(serve):
    server = serve("--threads", "2", app=APP)
    with opened(server, "sync") as ann, opened(server, "async", origin=server.url) as bob:
        standing, line = enter(ann, "Ann")
        assert (standing["offset"], standing["missed"], line["text"]) == (0, 0, "Ann has come")
        assert enter(bob, "Bob")[1]["text"] == "Bob has come"
        assert line_from(ann)["text"] == "Bob has come"
        ann.send(json.dumps({"id": "7", "text": "hi"}))
        assert line_from(bob) == {"id": "7", "name": "Ann", "text": "hi"}
        bob.close()
        assert texts_from(ann, 2) == ["hi", "Bob has left"]
    with pytest.raises(InvalidStatus), opened(server, "async", origin="https://evil.example"):
        pass
    assert b"new WebSocket" in server.get("/").content


@pytest.mark.parametrize("said", ["", "[]", "{", '{"since": ["a", true]}', '{"since": 7, "name": 1, "id": []}'])
def test_the_chat_takes_whatever_a_page_may_say(serve_module, said):
    server = serve_module("--threads", "2", app=APP)
    with opened(server, "async") as ann:
        enter(ann, "Ann")
        for side in SIDES:
            with opened(server, side) as socket:
                socket.send(said)
                told = [json.loads(socket.recv(PATIENCE)) for _ in range(2)]
                assert [each["missed"] for each in told if "missed" in each] == [0]
                assert [json.loads(each["text"])["text"] for each in told if "text" in each] == ["somebody has come"]
                socket.send(said)
                assert line_from(socket)["text"] == ""
            # Before the next one comes, who would hear it, too.
            assert texts_from(ann, 3) == ["somebody has come", "", "somebody has left"]


def test_no_line_is_lost_or_doubled_while_workers_are_replaced_and_killed(masters):
    """Four people on both workers, or masters, say 200 lines meanwhile: all see the same ones in the same order."""
    with contextlib.ExitStack() as stack:
        people = [
            stack.enter_context(ChatClient(url_of(masters[number % len(masters)], SIDES[number // 2]), f"n{number}"))
            for number in range(4)
        ]

        def are_on_two_workers():
            workers = {person.worker for person in people}
            if 0 not in workers and len(workers) < 2:
                people[0].leave()
            return 0 not in workers and len(workers) > 1

        eventually(are_on_two_workers, "people on two workers")
        came = [person.came_back for person in people]

        def are_in_the_room():
            return all(person.worker for person in people)

        def last_worker():
            """Return the worker of the last one; 0 if it has gone, which that one is about to learn."""
            worker = people[-1].worker
            return worker if any(worker in master.workers() for master in masters) else 0

        def wait_for(count):
            eventually(
                lambda: all(len(person.texts) >= count for person in people),
                lambda: f"that all hear {count} lines: {people}",
            )

        for number in range(200):
            if number in (20, 60, 100, 140, 180):
                # The room keeps 100 lines. So nobody is away for as many, however slow the machine is; and at each of
                # the times below there are twenty lines that may be on their way.
                wait_for(number)
            elif number in (40, 80, 120, 160):
                eventually(are_in_the_room, "that all are in the room again")
            people[number % 4].say(f"{number % 4} {number}")
            if number in (40, 120):
                replace(masters[0])
            elif number in (80, 160):
                os.kill(eventually(last_worker, "that the last one is with a worker"), signal.SIGKILL)
        eventually(
            lambda: all(len(person.texts) >= 200 or person.gaps for person in people),
            lambda: f"that all hear all: {people}",
        )
        assert [person.gaps for person in people] == [[]] * 4, people
        eventually(are_in_the_room, "that all are in the room again")
        assert sorted(people[0].texts, key=lambda text: int(text.split()[1])) == [f"{n % 4} {n}" for n in range(200)]
        for person in people:
            assert person.texts == people[0].texts
            assert person.repeated == 0
        for number in range(4):  # the lines of each in their order
            own = [text for text in people[0].texts if text.startswith(f"{number} ")]
            assert own == [f"{number} {n}" for n in range(number, 200, 4)]
        assert sum(person.came_back for person in people) >= sum(came) + 4


@pytest.mark.parametrize("side", SIDES)
def test_a_line_that_redis_did_not_take_is_said_again(serve, redis, side):
    server = serve("--threads", "2", "--channel-layer", f"{redis.url}?timeout=0.3", app=APP)
    with ChatClient(url_of(server, side), "Ann") as ann:
        eventually(lambda: ann.worker, "Ann in the room")
        halt(redis.process.pid)
        try:
            ann.say("hello")
            server.wait_for_log("cannot be reached")
            # Another connection may have noticed it first: the line could still be taken.
            eventually(lambda: not ann.worker, "that Ann is sent away")
        finally:
            redis.signal(signal.SIGCONT)
        eventually(lambda: ann.texts, "the line")
        eventually(lambda: ann.came_back > 1 and ann.worker, "Ann in the room again")
        assert ann.texts == ["hello"]


def test_a_room_of_which_all_workers_have_left_begins_anew_and_says_so(serve, tmp_path):
    layer = ("--channel-layer", f"local://{tmp_path}/l")
    server = serve(*layer, app=APP)
    with opened(server, "async") as ann:
        standing, _ = enter(ann, "Ann")
    server.stop()
    assert not (tmp_path / "l").exists()
    server = serve(*layer, app=APP)
    with opened(server, "async") as ann:
        ann.send(json.dumps({"name": "Ann", "since": [standing["epoch"], 1]}))
        told = [json.loads(ann.recv(PATIENCE)) for _ in range(2)]
        assert {"gap": None} in told
        [again] = [each for each in told if "missed" in each]
        assert (again["missed"], again["epoch"] == standing["epoch"]) == (None, False)


# ---- browsers ----


@needs_browser
@pytest.mark.parametrize("side", SIDES)
def test_the_chat_page_talks_with_others_over_each_kind(serve, tmp_path, side):
    server = serve("--threads", "2", app=APP)
    profile = tmp_path / "profile"
    with opened(server, "sync") as ann, browsing(server.url, profile), Page(profile) as page:
        assert enter(ann, "Ann")[1]["text"] == "Ann has come"
        page.wait_for("typeof socket === 'object' && socket.readyState === 1")  # its script has run
        page.evaluate(f"at('kind').value = '{side}'; open()")
        page.wait_for(f"socket.url.endsWith('/{side}') && socket.readyState === 1")
        page.say("Bea")
        assert line_from(ann)["text"] == "Bea has come"
        ann.send(json.dumps({"id": "7", "text": "hello <Bea>"}))
        page.wait_for("at('lines').textContent.includes('Annhello <Bea>')")
        page.say("hi Ann")
        lines = [line_from(ann) for _ in range(2)]
        assert [(line["name"], line["text"]) for line in lines] == [("Ann", "hello <Bea>"), ("Bea", "hi Ann")]


@needs_browser
def test_two_browsers_on_different_workers_lose_and_double_no_line(masters, tmp_path):
    with contextlib.ExitStack() as stack:
        pages = []
        for number, side in enumerate(SIDES):
            profile = tmp_path / side
            stack.enter_context(browsing(masters[number % len(masters)].url, profile))
            page = stack.enter_context(Page(profile))
            page.wait_for("typeof socket === 'object' && socket.readyState === 1")
            page.evaluate(f"at('kind').value = '{side}'; open()")
            page.say(f"page{number}")
            page.wait_for("joined")
            pages.append(page)

        def are_on_two_workers():
            workers = [page.evaluate("joined ? worker : 0") for page in pages]
            if all(workers) and workers[0] == workers[1]:
                pages[0].evaluate("open()")
            return all(workers) and workers[0] != workers[1]

        eventually(are_on_two_workers, "pages on two workers")
        for number in range(30):
            pages[number % 2].say(f"line {number}")
            if number == 10:
                replace(masters[0])
            elif number == 20:
                os.kill(eventually(masters[-1].workers)[0], signal.SIGKILL)
        lines = "[...document.querySelectorAll('#lines li')].map(line => line.textContent)"
        wanted = {f"page{number % 2}line {number}" for number in range(30)}

        def said(page):
            return [line for line in page.evaluate(lines) if not line.startswith("room")]

        eventually(lambda: all(wanted <= {*said(page)} for page in pages), lambda: [said(page) for page in pages])
        assert said(pages[0]) == said(pages[1])
        assert len(said(pages[0])) == 30
        assert not any("not kept any more" in line for page in pages for line in page.evaluate(lines))
