"""What `Group` and `Channel` promise in one process, from all sides."""

import threading

import pytest
from bridge_doubles import in_thread, on_loop
from layer_doubles import Client, Node, until_async

from uvicorn import ChannelLayerUnavailable, Group
from uvicorn.layers.limits import ChannelLimits
from uvicorn.layers.local import LocalLayer


def node(**options):
    return Node(LocalLayer("local://", None, ChannelLimits(), None), **options)


@on_loop
async def test_a_message_reaches_all_members_and_nobody_else():
    async with node() as worker:
        first, second, other = worker.client(), worker.client(), worker.client()
        for client in (first, second):
            await worker.group("room").add(client)
        await worker.group("elsewhere").add(other)
        worker.group("room").send({"text": "hello"})
        assert first.texts == second.texts == ["hello"]
        assert other.texts == []


@on_loop
async def test_who_is_added_twice_gets_a_message_once():
    async with node() as worker:
        client = worker.client()
        for _ in range(2):
            await worker.group("room").add(client)
        await worker.group("room").send({"text": "once"})
        assert client.texts == ["once"]


@on_loop
async def test_who_was_discarded_gets_nothing():
    async with node() as worker:
        client = worker.client()
        await worker.group("room").add(client)
        await worker.group("room").discard(client)
        await worker.group("room").discard(client)
        await worker.group("room").send({"text": "late"})
        assert client.texts == []


@on_loop
async def test_a_member_can_be_given_by_its_name_and_named_channels_reach_it():
    async with node() as worker:
        client = worker.client()
        await worker.group("room").add(client.name)
        await worker.group("room").send({"text": "all"})
        await worker.channel(client.name).send({"text": "you"})
        assert client.texts == ["all", "you"]


@on_loop
async def test_membership_dies_with_the_socket():
    async with node() as worker:
        client = worker.client()
        await worker.group("room").add(client)
        client.leave()
        assert worker.hub._groups == {}
        assert worker.hub._members == {}
        await worker.group("room").send({"text": "late"})
        await worker.group("room").add(client)
        await worker.channel(client._name).send({"text": "late"})
        assert client.texts == []


@on_loop
async def test_a_thread_that_is_no_consumer_sends_at_once():
    async with node() as worker:
        client = worker.client()

        def act():
            worker.group("room").add(client)
            worker.group("room").send({"text": "from a thread"})
            return client.texts

        assert await in_thread(act) == ["from a thread"]


@on_loop
async def test_what_a_consumer_sends_goes_out_when_it_has_returned():
    async with node() as worker:
        client = worker.client()
        await worker.group("room").add(client)
        sent, go_on = threading.Event(), threading.Event()

        def consumer(message):
            worker.group("room").send({"text": "1"})
            worker.channel(client.name).send({"text": "2"})
            worker.group("room").send({"text": "now"}, immediately=True)
            sent.set()
            assert go_on.wait(100)
            message["reply_channel"].send({"status": 200, "content": b""})

        exchange = worker.call(consumer)
        await until_async(sent.is_set)
        assert client.texts == ["now"]
        go_on.set()
        await until_async(lambda: exchange.job.is_over and len(client.texts) == 3)
        assert client.texts == ["now", "1", "2"]


class Draining(Client):
    """As the channel of a socket that threads have sent through: what they have sent goes out before what it sends."""

    def __init__(self, node):
        super().__init__(node)
        self.is_sending = False
        self.node = node

    def send(self, reply):
        assert not self.is_sending, "it waits for its own lock"
        self.is_sending = True
        self.node.outbox.drain_now()
        super().send(reply)
        self.is_sending = False


@on_loop
async def test_a_message_that_waits_does_not_get_between_one_and_its_members_and_stop_the_loop():
    async with node() as worker:
        clients = [Draining(worker) for _ in range(3)]
        for client in clients:
            await worker.group("room").add(client)
        worker.outbox.put(worker.hub.deferred.carry, [lambda: worker.hub.publish("room", {"text": "2"})])
        await worker.group("room").send({"text": "1"})
        await until_async(lambda: all(len(client.texts) == 2 for client in clients))
        assert [client.texts for client in clients] == [["1", "2"]] * 3


@on_loop
async def test_what_was_sent_goes_out_before_a_worker_leaves():
    async with node() as worker:
        client = worker.client()
        await worker.group("room").add(client)
        worker.hub.deferred.carry([lambda: worker.hub.publish("room", {"text": "last"})])
    assert client.texts == ["last"]


@on_loop
async def test_what_a_consumer_has_sent_is_dropped_if_it_raises():
    async with node() as worker:
        client = worker.client()
        await worker.group("room").add(client)

        def consumer(message):
            worker.group("room").send({"text": "never"})
            raise ValueError("no")

        exchange = worker.call(consumer)
        await until_async(lambda: exchange.job.is_over)
        await worker.idle()
        await worker.group("room").send({"text": "later"})
        assert client.texts == ["later"]


@on_loop
async def test_a_deferred_message_that_cannot_be_encoded_is_logged_with_its_group():
    async with node() as worker:

        def consumer(message):
            worker.group("room").send({"text": object()})

        worker.call(consumer)
        line = "has sent to room cannot be: TypeError"
        await until_async(lambda: any(line in text for text in worker.log.texts("error")), "the line")


@on_loop
async def test_a_reply_that_no_member_takes_is_logged_with_the_name_of_the_member():
    async with node() as worker:
        client, other = worker.client(), worker.client()
        client.error = ValueError("a reply to a socket cannot have 'x'")
        for each in (client, other):
            await worker.group("room").add(each)
        await worker.group("room").send({"x": 1})
        assert other.received == [{"x": 1}]
        assert any(client.name in str(line) for line in worker.log.texts("error"))


def test_a_process_without_a_layer_says_so():
    with pytest.raises(ChannelLayerUnavailable, match="uvicorn"):
        Group("room").send({})
