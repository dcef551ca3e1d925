"""A consumer of Channels 1 passes its reply channel on, and returns: the request waits for who answers by this name."""

import json
import tempfile
from types import SimpleNamespace

import pytest

from uvicorn.channels1 import Channel, Group, route
from uvicorn.channels1.calls import _replying
from uvicorn.channels1.memory import ChannelLayer
from uvicorn.channels1.pending import pending_message_store
from uvicorn.layers import current
from uvicorn.layers.encoding import pack
from uvicorn.layers.handover import DONE

GET = b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n"


class Office:
    """What takes the calls of `Group` and `Channel` in place of a worker's office."""

    def __init__(self):
        self.calls = []

    def put(self, channel, content, immediately, delay):
        self.calls.append(("put", channel, content, delay))
        return DONE

    def publish(self, group, content, immediately, history=None):
        self.calls.append(("publish", group, content))
        return DONE

    def add(self, group, member, joining=None):
        self.calls.append(("add", group, member))
        return DONE

    def discard(self, group, member):
        self.calls.append(("discard", group, member))
        return DONE


@pytest.fixture
def office():
    office = Office()
    current.install(office)
    yield office
    current.uninstall(office)


def asked(make_site, consumer):
    site = make_site([route("http.request", consumer)])
    client = site.connect()
    client.send(GET)
    while site.pool.queue:
        site.run_job(in_thread=True)
    return site, client


def name_of(message):
    """Return the name without asking the message for it."""
    return message.content["reply_channel"]


def answer(site, name):
    """Answer by the name of a reply channel, as other consumers do."""
    site.service.dispatcher.outbox.directory.find(name).send({"status": 200, "content": b"later"})


PASSED_ON = {
    "a value": lambda m: Channel("w").send({"back": name_of(m)}),
    "the content": lambda m: Channel("w").send(m.content),
    "deep in the content": lambda m: Channel("w").send({"a": [{"b": ("x", name_of(m))}]}),
    "in a text": lambda m: Channel("w").send({"text": json.dumps({"reply_to": name_of(m)})}),
    "to a group": lambda m: Group("w").send({"a": {"b": name_of(m)}}),
    "at once": lambda m: Channel("w").send({"a": {"b": name_of(m)}}, immediately=True),
    "as a member": lambda m: Group("w").add(name_of(m)),
    "as the channel": lambda m: Channel(name_of(m)).send({"status": 200}),
    "as the channel, at once": lambda m: Channel(name_of(m)).send({"status": 200}, immediately=True),
    "with a delay": lambda m: Channel("w").send({"back": name_of(m)}, delay=1),
    "in a delayed message": lambda m: Channel("asgi.delay").send(
        {"channel": "w", "content": {"back": name_of(m)}, "delay": 200}
    ),
    "by the layer": lambda m: m.channel_layer.send("w", {"back": name_of(m)}),
    "by the layer, to a group": lambda m: m.channel_layer.send_group("w", {"back": name_of(m)}),
    "by the layer, as a member": lambda m: m.channel_layer.group_add("w", name_of(m)),
}


@pytest.mark.parametrize("how", PASSED_ON)
def test_a_request_whose_channel_was_passed_on_is_not_answered_with_500(make_site, office, how):
    seen = []

    def consumer(message):
        seen.append(name_of(message))
        PASSED_ON[how](message)

    site, client = asked(make_site, consumer)
    assert client.statuses() == []
    assert len(office.calls) == 1
    answer(site, seen[0])
    assert client.responses()[0].body == b"later"


@pytest.mark.parametrize("how", PASSED_ON)
def test_a_coroutine_passes_its_channel_on(make_site, office, how):
    seen = []

    async def consumer(message):
        seen.append(name_of(message))
        await PASSED_ON[how](message)

    site, client = asked(make_site, consumer)
    assert client.statuses() == []
    assert len(office.calls) == 1
    answer(site, seen[0])
    assert client.responses()[0].body == b"later"


@pytest.mark.parametrize("read", [lambda m: m["reply_channel"], lambda m: m.get("reply_channel")])
def test_a_name_that_was_written_down_elsewhere_is_kept(make_site, read):
    seen = []
    site, client = asked(make_site, lambda message: seen.append(read(message)))
    assert client.statuses() == []
    answer(site, seen[0])
    assert client.responses()[0].body == b"later"


LARGE = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n" + b"x" * 20
BODIES = {
    "to a channel": (lambda m: Channel("w").send(m.content), lambda call: call[2]),
    "to a group": (lambda m: Group("w").send(m.content), lambda call: call[2]),
    "with a delay": (lambda m: Channel("w").send(m.content, delay=1), lambda call: call[2]),
    "in a delayed message": (
        lambda m: Channel("asgi.delay").send({"channel": "w", "content": m.content, "delay": 200}),
        lambda call: call[2],
    ),
    "by the layer": (lambda m: m.channel_layer.send("w", m.content), lambda call: call[2]),
}


def posted(make_site, consumer):
    """Send a body that is in a temporary file when the consumer is called."""
    site = make_site([route("http.request", consumer)], body_buffer=4)
    client = site.connect()
    client.send(LARGE)
    site.spools.work(tempfile.TemporaryFile)
    site.settle()
    while site.pool.queue:
        site.run_job(in_thread=True)
    return site, client


@pytest.mark.parametrize("how", BODIES)
def test_a_large_request_that_is_passed_on_has_its_whole_body(make_site, office, how):
    send, content_of = BODIES[how]

    def consumer(message):
        assert message["body_channel"] is not None
        send(message)
        bodies.append((message["body"] or b"") + message["body_channel"].read(100))  # it can be read here, too

    bodies = []
    site, client = posted(make_site, consumer)
    assert client.statuses() == []
    [call] = office.calls
    content = content_of(call)
    assert "body_channel" not in content
    assert [content["body"]] == bodies == [b"x" * 20]
    assert pack(content)
    answer(site, content["reply_channel"])
    assert client.responses()[0].body == b"later"


def test_a_body_that_no_message_can_have_is_an_error_on_the_line_of_the_consumer(make_site, office, monkeypatch):
    monkeypatch.setattr("uvicorn.channels1.passing.MOST_BYTES", 10)
    site, client = posted(make_site, lambda message: Channel("w").send(message.content))
    assert client.statuses() == [500]
    assert len(site.log.take("error")) == 1
    assert office.calls == []


WRONG = {
    "a channel": lambda: Channel("thumb nails").send({}),
    "a long one": lambda: Channel("x" * 100).send({}),
    "of a group": lambda: Group("room!1").send({}),
    "with a delay": lambda: Channel("thumb nails").send({}, delay=1),
    "in a delayed message": lambda: Channel("asgi.delay").send({"channel": "a b", "content": {}, "delay": 1}),
    "nothing in a delayed message": lambda: Channel("asgi.delay").send({"content": {}, "delay": 1}),
}


@pytest.mark.parametrize("how", WRONG)
def test_a_wrong_name_is_an_error_on_its_line_and_not_when_the_reply_is_out(make_site, office, how):
    def consumer(message):
        Channel("w").send({"n": 1})
        with pytest.raises(ValueError, match=r"cannot be the name of|no 'channel' is there"):
            WRONG[how]()
        Group("w").send({"n": 2})
        message.reply_channel.send({"status": 200})

    _, client = asked(make_site, consumer)
    assert client.statuses() == [200]
    assert [call[:3] for call in office.calls] == [("put", "w", {"n": 1}), ("publish", "w", {"n": 2})]


def test_a_wrong_name_is_an_error_on_its_line_in_a_test_too():
    pending_message_store.prepare()
    try:
        for sender in (Channel("a b", channel_layer=ChannelLayer()), Group("a!b", channel_layer=ChannelLayer())):
            with pytest.raises(TypeError, match="is no name of a"):
                sender.send({})
        Channel("a", channel_layer=object()).send({})  # of a layer that checks nothing before
    finally:
        pending_message_store.discard()


def test_a_channel_that_is_not_passed_on_is_not_kept(make_site, office):
    def consumer(message):
        Channel("w").send({"a": [1, {"b": "http.response!0.1", "c": None}]})
        Group("w").discard(name_of(message))

    site, client = asked(make_site, consumer)
    assert client.statuses() == [500]
    assert "without a reply" in site.log.take("error")[0]
    assert len(office.calls) == 2


def test_a_message_that_is_nested_deeply_is_no_recursion_error_of_ours(make_site, office):
    def consumer(message):
        nested = []
        for _ in range(5000):
            nested = [nested]
        Channel("w").send({"a": nested})
        message.reply_channel.send({"status": 200})

    _, client = asked(make_site, consumer)
    assert client.statuses() == [200]
    assert len(office.calls) == 1  # whose layer says that it cannot be encoded


def test_a_message_is_looked_through_for_a_request_only_and_no_more_than_once(make_site, office, monkeypatch):
    looked = []
    monkeypatch.setattr("uvicorn.channels1.passing.pack", lambda values: looked.append(values) or pack(values))

    def consumer(message):
        for number in range(3):
            Channel("w").send({"back": name_of(message), "n": number})

    asked(make_site, consumer)
    assert len(office.calls) == 3
    assert len(looked) == 1  # then it is kept
    with _replying({"reply_channel": SimpleNamespace(own_name="websocket.send!0.1")}):
        Channel("w").send({"n": 3})
    assert len(office.calls) == 4
    assert len(looked) == 1
