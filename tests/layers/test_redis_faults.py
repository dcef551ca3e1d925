"""What happens when Redis is stopped, restarted, paused, full or not there: to sockets, to senders and to messages."""

import asyncio
import signal

import pytest
from bridge_doubles import in_thread, on_loop
from carriers import RedisCarrier, needs_redis, wait_for_redis
from layer_doubles import Worked, WorkedOnLoop, make, node_on, until_async
from patience import NEVER_SECONDS, until
from ports import free_port
from redis.connection import UnixDomainSocketConnection
from redis_server import RedisServer
from slow_proxy import SlowProxy

from uvicorn import ChannelFull, ChannelLayerUnavailable, Group, route
from uvicorn.layers import program_redis, redis_layer, redis_streams
from uvicorn.layers.encoding import unpack
from uvicorn.layers.limits import ChannelLimits
from uvicorn.layers.opening import open_layer
from uvicorn.layers.redis_servers import RedisAddress

pytestmark = needs_redis


@pytest.fixture
def server(request):
    made = RedisServer(**getattr(request, "param", {}))
    yield made
    made.close()


class HastyCarrier(RedisCarrier):
    """One whose claims are over before a test has lost its patience."""

    @property
    def url(self):
        return f"{super().url}&claim=1"


async def is_back(node, client):
    """Wait until a message of a group arrives again."""
    before = len(client.received)
    for _ in range(2000):
        try:
            await node.group("probe").add(client)
            await node.group("probe").send({"text": "probe"})
        except ChannelLayerUnavailable:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.01)
        if len(client.received) > before:
            return
    raise AssertionError("no message arrives")


@pytest.mark.parametrize("server", [{"keeps": True}], indirect=True)
@pytest.mark.parametrize("loses", [False, True], ids=["with its data", "without its data"])
@on_loop
async def test_a_restart_of_redis_is_told_once_and_subscriptions_are_restored(server, loses):
    worked = Worked()
    async with make(RedisCarrier(server), route("jobs", worked)) as node:
        member, other = node.client(), node.client()
        for client in (member, other):
            await node.group("room").add(client)
        await node.group("room").send({"text": "before"})
        await until_async(lambda: member.texts)
        await asyncio.to_thread(server.restart, loses)
        await is_back(node, other)
        await until_async(lambda: member.gaps and other.gaps, "the gap")
        await node.group("room").send({"text": "after"})
        await until_async(lambda: "after" in member.texts)
        assert member.texts == ["before", "after"]
        assert set(member.gaps) == {None}  # nobody knows how many
        await node.channel("jobs").send({"n": 1})
        await until_async(lambda: worked.messages)
        await until_async(lambda: any("can be reached again" in text for text in node.log.texts("warning")))
        assert len([text for text in node.log.texts("error") if "cannot be reached" in text]) == 1
        assert len([text for text in node.log.texts("warning") if "can be reached again" in text]) == 1


@on_loop
async def test_sends_raise_after_a_bounded_wait_on_both_sides_while_redis_is_stopped(server):
    async with make(RedisCarrier(server)) as node:
        await node.group("room").send({"text": "1"})
        wait_for_redis(node, 1.0)
        await asyncio.to_thread(server.stop)
        with pytest.raises(ChannelLayerUnavailable):
            await node.group("room").send({"text": "2"})
        with pytest.raises(ChannelLayerUnavailable):
            await in_thread(lambda: node.channel("jobs").send({"n": 1}))
        assert node.log.texts("error")[0].startswith("The channel layer unix://")
        await until_async(lambda: asyncio.get_running_loop().time() - node.layer._outage.since > 1)
        with pytest.raises(
            ChannelLayerUnavailable, match="since"
        ):  # and now at once: threads shall not wait for nothing
            node.group("room").send({"text": "3"})
        wait_for_redis(node, NEVER_SECONDS)
        await asyncio.to_thread(server.start)
        await is_back(node, node.client())


@pytest.mark.parametrize("how", ["CLIENT PAUSE", "SIGSTOP"])
@on_loop
async def test_a_redis_that_does_not_answer_is_taken_to_be_away(server, how):
    async with make(RedisCarrier(server)) as node:
        publisher = node.layer._publisher
        await node.group("room").send({"text": "1"})
        wait_for_redis(node, 1.0)

        async def send_for_no_answer():
            while True:  # a machine may stand still for as long as the pause lasts
                # What follows something that is on its way, such as a look for what is due, would not be sent.
                await until_async(lambda: publisher._is_up and not publisher._batch and not publisher._queue)
                if how == "SIGSTOP":
                    server.signal(signal.SIGSTOP)
                else:
                    server.ask("CLIENT", "PAUSE", "2500", "ALL")  # here: the layer shall not notice before we send
                await node.group("room").send({"text": "2"})

        try:
            with pytest.raises(ChannelLayerUnavailable) as raised:
                await send_for_no_answer()
            assert raised.value.was_sent  # nobody knows
        finally:
            server.signal(signal.SIGCONT)
        wait_for_redis(node, NEVER_SECONDS)
        await is_back(node, node.client())
        await until_async(lambda: not node.layer._outage.since)


@pytest.mark.parametrize("words", [["FLUSHALL"], ["DEL", "{stream}"]], ids=["FLUSHALL", "DEL"])
@on_loop
async def test_a_stream_that_is_removed_is_made_again_and_is_no_outage(server, words):
    worked = Worked()
    async with make(RedisCarrier(server), route("jobs", worked)) as node:
        stream = node.layer._keys.stream("jobs")
        reads = b"cmd=xreadgroup"
        await until_async(lambda: reads in server.ask("CLIENT", "LIST"), "the read that waits")
        assert server.ask(*(word.format(stream=stream) for word in words))[:1] != b"-"
        await until_async(lambda: b":1" in server.ask("EXISTS", stream), "the stream, made again")
        await node.channel("jobs").send({"n": 1})
        await until_async(lambda: worked.messages)
        assert node.log.texts("error") == []


@on_loop
async def test_a_stream_that_is_removed_while_its_consumers_are_looked_through_is_no_outage(server, monkeypatch):
    worked, looks, clean = Worked(), [], redis_streams.Streams._clean

    async def clean_late(self, client):
        looks.append(len(looks) or server.ask("DEL", self._keys.stream("jobs")))
        await clean(self, client)

    monkeypatch.setattr(redis_streams.Streams, "_clean", clean_late)
    async with make(RedisCarrier(server), route("jobs", worked)) as node:
        await until_async(lambda: len(looks) == 2, "the look that is made anew")
        assert looks[0] == b":1\r\n"
        await node.channel("jobs").send({"n": 1})
        await until_async(lambda: worked.messages)
        assert node.log.texts("error") == []


@pytest.mark.parametrize("history", [None, 10])
def test_what_a_program_sends_is_not_doubled_if_redis_answers_late(server, history, monkeypatch):
    connect = UnixDomainSocketConnection._connect
    room = Group("room", f"{RedisCarrier(server).url}&timeout=0.3", history=history)
    with server.client() as client, client.pubsub(ignore_subscribe_messages=True) as heard:
        until(lambda: is_sent(room, "1"), "a connection")  # a busy machine may take longer at first
        heard.psubscribe("*")
        until(lambda: client.pubsub_numpat() == 1, "the subscription")
        server.signal(signal.SIGSTOP)
        # It goes on, and would answer, if it were asked a second time.
        monkeypatch.setattr(
            UnixDomainSocketConnection, "_connect", lambda self: server.signal(signal.SIGCONT) or connect(self)
        )
        try:
            with pytest.raises(ChannelLayerUnavailable) as raised:
                room.send({"text": "2"})
            assert raised.value.was_sent  # nobody knows
        finally:
            server.signal(signal.SIGCONT)
        until(lambda: is_sent(room, "3"), "Redis, which goes on")
        texts = []
        while "3" not in texts:
            message = until(lambda: heard.get_message(timeout=1.0), "the next message")
            content = unpack(message["data"])
            texts.append((content[2] if history else content)["text"])
        assert texts == ["2", "3"]


def is_sent(room, text):
    try:
        room.send({"text": text})
    except ChannelLayerUnavailable:
        return False
    return True


@pytest.mark.parametrize("is_told", [True, False])
def test_a_program_whose_connection_was_idle_and_is_gone_sends_all_the_same_and_once(server, is_told, monkeypatch):
    room = Group("room", RedisCarrier(server).url)
    with server.client() as client:
        before = client.info("stats")["total_connections_received"]
        assert is_sent(room, "1")
        if is_told:
            server.ask("CLIENT", "KILL", "TYPE", "normal")
            before += 2  # its own, and the next of `client`
        else:
            monkeypatch.setattr(program_redis, "_IDLE_SECONDS", -1.0)  # something between has forgotten it
        with client.pubsub(ignore_subscribe_messages=True) as heard:
            heard.psubscribe("*")
            before += 1
            assert is_sent(room, "2")
            assert client.info("stats")["total_connections_received"] == before + 2
            until(lambda: heard.get_message(timeout=1.0))
            assert heard.get_message() is None


@on_loop
async def test_a_redis_that_is_slow_delays_messages_and_loses_doubles_and_reorders_none(server):
    """Each chunk is late: what is sent meanwhile goes in one, so that the delay is not paid for each message."""
    worked = WorkedOnLoop()
    proxy = SlowProxy(server.path, server.folder / "proxy", 0.05)
    async with proxy, make(RedisCarrier(proxy), route("jobs", worked)) as node:
        client = node.client()
        await node.group("room").add(client)
        before = proxy.chunks
        texts = [str(number) for number in range(500)]
        for text in texts:
            node.group("room").send({"text": text})
        for number in range(80):
            node.channel("jobs").send({"n": number})
        await until_async(lambda: len(client.texts) >= 500 and len(worked.messages) >= 80)
        assert client.texts == texts
        assert worked.numbers == [*range(80)]
        assert proxy.chunks - before < 580
        await in_thread(lambda: node.channel("jobs").send({"n": 80}))  # a thread waits for its own message only
        await until_async(lambda: len(worked.messages) == 81)
        assert client.gaps == []
        assert node.log.texts("error") == node.log.texts("warning") == []


@on_loop
async def test_a_redis_without_memory_refuses_and_the_sender_learns_it(server):
    async with make(RedisCarrier(server)) as node:
        client = node.client()
        await node.group("room").add(client)
        await node.channel("jobs").send({"n": 1})
        await asyncio.to_thread(server.ask, "CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(ChannelLayerUnavailable, match="maxmemory"):
            await node.channel("jobs").send({"n": 2})
        await asyncio.to_thread(server.ask, "CONFIG", "SET", "maxmemory", "0")
        await node.channel("jobs").send({"n": 3})
        await is_back(node, client)


@on_loop
async def test_a_wrong_address_is_told_in_one_sentence_and_the_worker_starts():
    port = free_port()
    url = f"redis://:secret@127.0.0.1:{port}/0?timeout=1"
    async with node_on(lambda log: open_layer(url, None, ChannelLimits(), log)) as node:
        await until_async(lambda: node.log.texts("error"))  # a busy machine takes longer than a start waits
        [text] = node.log.texts("error")
        assert f"redis://:***@127.0.0.1:{port}/0" in text
        assert "secret" not in text
        assert "\n" not in text
        with pytest.raises(ChannelLayerUnavailable):
            await node.group("room").send({"text": "1"})
        await in_thread(lambda: None)


@pytest.mark.parametrize("more", [{}, {"message_priority": 7}], ids=["plain", "with a priority"])
@on_loop
async def test_the_messages_of_a_worker_that_died_are_delivered_again(server, more):
    """Die as a killed process does: what it had is never acknowledged, and its claims are not renewed."""
    blocked, worked = Worked(blocks=True), Worked()
    carrier = HastyCarrier(server)
    dead = make(carrier, route("jobs", blocked), threads=1)
    await dead.__aenter__()
    await dead.channel("jobs").send({"n": 1, **more})
    await until_async(lambda: blocked.running == 1)
    await dead.layer._streams.stop()
    urgent = {"message_priority": 100} if more else {}  # it does not take the place of what was delivered already
    await dead.channel("jobs").send({"n": 0, **urgent})
    async with make(carrier, route("jobs", worked)) as node:
        await until_async(lambda: len(worked.messages) == 2)
        assert sorted(worked.numbers) == [0, 1]
        [again] = [message for message in worked.messages if message["n"] == 1]
        assert again["message_id"] == blocked.messages[0]["message_id"]
        blocked.go.set()
        await dead.__aexit__(None, None, None)
        await node.channel("jobs").send({"n": 2, **more})
        await until_async(lambda: len(worked.messages) == 3)
        client = carrier.server.client()
        stream = node.layer._keys.stream("jobs")
        left = (stream, f"{stream}:ranked", f"{stream}:taken")
        await until_async(lambda: not client.xlen(left[0]) and not client.exists(*left[1:]), "nothing that is left")
        client.close()


@on_loop
async def test_a_claim_is_renewed_while_the_consumer_runs(server, monkeypatch):
    monkeypatch.setattr(redis_streams, "_RENEWALS", 300)  # in the 30 seconds of a claim
    slow, other = Worked(blocks=True), Worked()
    carrier = RedisCarrier(server)
    async with make(carrier, route("jobs", slow)) as one:
        await one.channel("jobs").send({"n": 1})
        await until_async(lambda: slow.running == 1)
        client = server.client()
        stream, consumers = one.layer._keys.stream("jobs"), one.layer._keys.consumers

        def pending():
            return client.xpending_range(stream, consumers, "-", "+", 2)[0]

        async with make(carrier, route("jobs", other)):
            entry = pending()["message_id"]
            for _ in range(3):  # as if Redis had heard nothing of it for 12 seconds, each time
                client.xclaim(stream, consumers, one.layer._receiver.node, 0, [entry], idle=12_000, justid=True)
                await until_async(lambda: pending()["time_since_delivered"] < 12_000, "the renewal")
            assert other.messages == []
            slow.go.set()
            await until_async(lambda: client.xlen(stream) == 0, "the acknowledgement")
        client.close()


@on_loop
async def test_a_message_whose_consumer_raises_is_given_up_after_so_many_deliveries(server):
    failing = Worked(error=ValueError("no"), times=99)
    carrier = HastyCarrier(server)
    async with make(carrier, route("jobs", failing), limits={"deliveries": 2}) as node:
        await node.channel("jobs").send({"n": 1})
        client = server.client()
        await until_async(lambda: client.xlen(node.layer._keys.dead("jobs")) == 1, "the dead message")
        [(_, fields)] = client.xrange(node.layer._keys.dead("jobs"))
        assert fields[b"id"].decode() == failing.messages[0]["message_id"]
        assert fields[b"why"] == b"delivered 2 times"
        assert client.xlen(node.layer._keys.stream("jobs")) == 0
        client.close()
        assert len(failing.messages) == 2
        assert any("is given up" in text for text in node.log.texts("error"))


@on_loop
async def test_a_message_that_waited_too_long_is_given_up(server):
    worked = Worked()
    carrier = RedisCarrier(server)
    async with make(carrier) as sender:
        await sender.channel("jobs").send({"n": 1})
        await asyncio.sleep(0.3)
        async with make(carrier, route("jobs", worked), limits={"expiry_seconds": 0.2}):
            client = server.client()
            await until_async(lambda: client.xlen(sender.layer._keys.dead("jobs")) == 1, "the dead message")
            client.close()
            assert worked.messages == []


@on_loop
async def test_what_was_delivered_does_not_count_as_waiting(server):
    blocked = Worked(blocks=True)
    async with make(RedisCarrier(server), route("jobs", blocked), threads=3, limits={"capacity": 1}) as node:
        for number in range(3):
            await node.channel("jobs").send({"n": number})
            await until_async(lambda: blocked.running == number + 1)  # noqa: B023
        await node.channel("jobs").send({"n": 3})
        with pytest.raises(ChannelFull):
            await node.channel("jobs").send({"n": 4})
        blocked.go.set()
        await until_async(lambda: len(blocked.messages) == 4)


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("redis://host?timeout=soon", "numbers of seconds"),
        ("redis://host?timeout=0", "more than 0"),
        ("http://host", "no URL of Redis"),
    ],
)
def test_a_url_that_is_wrong_is_refused_with_one_sentence(url, match):
    with pytest.raises(ValueError, match=match):
        RedisAddress(url)


@on_loop
async def test_a_worker_that_stops_waits_until_redis_has_heard_what_is_done_and_sends_no_content_back(
    server, monkeypatch
):
    monkeypatch.setattr(redis_layer, "_STOP_SECONDS", NEVER_SECONDS)
    worked = WorkedOnLoop()
    proxy = SlowProxy(server.path, server.folder / "proxy", 0.02)
    async with proxy:
        carrier = RedisCarrier(proxy)
        async with make(carrier, route("jobs", worked)) as node:
            await node.channel("jobs").send({"bytes": bytes(2_000_000)})
            await until_async(lambda: worked.messages)
            before = proxy.bytes
            await until_async(lambda: node.layer._publisher._batch, "the acknowledgement on its way")
        assert proxy.bytes - before < 1_000_000
    assert await asyncio.to_thread(server.ask, "XLEN", f"{carrier.prefix}:{{jobs}}") == b":0\r\n"
