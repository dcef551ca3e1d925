"""Members whose clients are behind: bounded, by policy, and never in silence."""

import asyncio

import pytest
from bridge_doubles import on_loop
from layer_doubles import Node, until_async

from uvicorn.layers.backlog import Backlog, Bounds
from uvicorn.layers.limits import ChannelLimits, check_capacity
from uvicorn.layers.local import LocalLayer
from uvicorn.layers.members import Member


def node(**bounds):
    return Node(LocalLayer("local://", None, ChannelLimits(), None), bounds=Bounds(**bounds))


async def sent(worker, *texts):
    for text in texts:
        await worker.group("room").send({"text": text})


@pytest.mark.parametrize(
    ("policy", "kept", "missed"),
    [("drop-oldest", ["3", "4"], 2), ("drop-newest", ["1", "2"], 2)],
)
@on_loop
async def test_a_member_that_is_behind_misses_messages_by_policy_and_is_told_of_it(policy, kept, missed):
    async with node(messages=2, policy=policy) as worker:
        slow, other = worker.client(), worker.client()
        for client in (slow, other):
            await worker.group("room").add(client)
        slow.is_writable = False
        await sent(worker, "1", "2", "3", "4")
        assert slow.texts == []
        assert slow.gaps == []
        slow.catch_up()
        assert slow.texts == kept
        assert slow.gaps == [missed]
        await sent(worker, "5")
        assert slow.texts == [*kept, "5"]
        assert other.texts == ["1", "2", "3", "4", "5"]
        assert slow.gaps == [missed]
        await until_async(lambda: worker.log.texts("warning"))
        assert worker.log.texts("warning") == ["Dropped 2 group messages for members whose clients are behind"]


@on_loop
async def test_a_member_that_is_too_far_behind_is_closed_by_default():
    async with node(messages=2) as worker:
        slow, other = worker.client(), worker.client()
        for client in (slow, other):
            await worker.group("room").add(client)
        slow.is_writable = False
        await sent(worker, "1", "2", "3", "4")
        assert slow.given_up == ["the client is behind with the messages of groups"]
        assert slow.texts == []
        assert other.texts == ["1", "2", "3", "4"]
        assert list(worker.hub._groups["room"]) == [other.name]


@on_loop
async def test_what_waits_for_a_member_comes_in_order_when_it_catches_up():
    async with node() as worker:
        slow = worker.client()
        await worker.group("room").add(slow)
        slow.is_writable = False
        await sent(worker, "1", "2")
        await worker.channel(slow.name).send({"text": "3"})
        slow.catch_up()
        await sent(worker, "4")
        assert slow.texts == ["1", "2", "3", "4"]
        assert slow.gaps == []


@on_loop
async def test_what_waits_for_a_client_that_leaves_is_dropped_in_silence():
    async with node() as worker:
        slow = worker.client()
        await worker.group("room").add(slow)
        slow.is_writable = False
        await sent(worker, "1")
        slow.leave()
        assert slow.texts == []
        assert worker.hub._members == {}


@on_loop
async def test_a_membership_expires_and_is_renewed_by_adding_again():
    worker = Node(LocalLayer("local://", None, ChannelLimits(), None), group_expiry=0.2)
    async with worker:
        client = worker.client()
        await worker.group("room").add(client)
        await until_async(lambda: not worker.hub._groups, "the end of the membership")
        await sent(worker, "late")
        assert client.texts == []
        await worker.group("room").add(client)
        await sent(worker, "in time")
        assert client.texts == ["in time"]


@on_loop
async def test_memberships_expire_each_in_its_time_and_are_looked_at_only_then():
    async with node() as worker:
        hub, now = worker.hub, asyncio.get_running_loop().time()
        clients = [worker.client() for _ in range(3)]
        for number, client in enumerate(clients):
            await worker.group("room").add(client)
            hub._members[client.name].groups["room"] = now + 1000 * (number + 1)
        hub._expires_at = now + 1000
        members, hub._members = hub._members, None  # a look would fail
        hub._expire(now + 999)
        hub._members = members
        for number in range(3):
            hub._expire(now + 1000 * (number + 1))
            assert hub.names_in("room") == [client.name for client in clients[number + 1 :]]
            assert hub._expires_at == (now + 1000 * (number + 2) if number < 2 else float("inf"))


def test_bytes_are_bounded_as_messages_are():
    backlog = Backlog(Bounds(bytes=1000, messages=100, policy="drop-oldest"))
    for number in range(4):
        assert backlog.add({"text": str(number) * 300}, 0.0)
    assert backlog.missed == 2
    assert [backlog.take(0.0)["text"][0] for _ in range(2)] == ["2", "3"]


def test_one_message_may_be_larger_than_the_bound():
    backlog = Backlog(Bounds(bytes=1000))
    assert backlog.add({"bytes": bytes(100_000)}, 0.0)
    assert not backlog.add({"text": "x"}, 0.0)


def test_what_has_waited_too_long_is_dropped_and_counted():
    backlog = Backlog(Bounds(expiry_seconds=60.0))
    backlog.add({"text": "old"}, 0.0)
    backlog.add({"text": "new"}, 50.0)
    assert backlog.take(70.0) == {"text": "new"}
    assert backlog.take(70.0) is None
    assert backlog.missed == 1


@pytest.mark.parametrize(
    ("text", "channel", "capacity"),
    [
        ("7", "any", 7),
        ("7, mail.*=3", "mail.send", 3),
        ("7, mail.*=3", "mail", 7),
        ("a*=1, ab=2", "ab", 1),
        ("a*=1", "b", 100),
        ("7", "django.tasks.default", 10_000),
        ("7, django.tasks.*=5", "django.tasks.default", 5),
    ],
)
def test_capacities_are_by_pattern(text, channel, capacity):
    assert ChannelLimits(*check_capacity(text)).capacity_of(channel) == capacity


class Sharing:
    """A reply channel that takes what was prepared for many, or says that it cannot."""

    closed = False
    is_writable = True

    def __init__(self, answer):
        self._answer = answer
        self.got = []

    def send_shared(self, message):
        if isinstance(self._answer, Exception):
            raise self._answer
        if self._answer:
            self.got.append(message)
        return self._answer

    def send(self, content):
        self.got.append(content)

    def when_changed(self, callback):
        """Nobody is called: it stays as it is."""


@pytest.mark.parametrize(
    ("answer", "got", "refused"),
    [(True, ["shared"], []), (False, [{"text": "1"}], []), (ValueError("no"), [], ["a"])],
)
@on_loop
async def test_what_was_prepared_for_many_goes_to_who_takes_it_and_is_given_otherwise_once(answer, got, refused):
    async with node() as worker:
        told = []
        worker.hub.on_refused = lambda name, error: told.append(name)
        worker.hub._share = lambda content: "shared"
        channel, other = Sharing(answer), Sharing(True)
        members = [
            Member(name, each, asyncio.get_running_loop(), Bounds(), worker.hub)
            for name, each in zip("ab", (channel, other), strict=True)
        ]
        worker.hub.deliver(members, {"text": "1"})
        assert (channel.got, told, other.got) == (got, refused, ["shared"])


@on_loop
async def test_what_was_prepared_for_many_overtakes_nothing_that_waits():
    async with node() as worker:
        channel, other = Sharing(True), Sharing(True)
        channel.is_writable = False
        worker.hub._share = lambda content: "shared"
        members = [
            Member(name, each, asyncio.get_running_loop(), Bounds(), worker.hub)
            for name, each in zip("ab", (channel, other), strict=True)
        ]
        members[0].give({"text": "0"})
        worker.hub.deliver(members, {"text": "1"})
        assert (channel.got, members[0].waiting, other.got) == ([], 2, ["shared"])
