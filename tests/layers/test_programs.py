"""Groups and channels from programs that are no servers: in threads, and on a loop of their own."""

import asyncio
import os
import signal
import subprocess
import sys
import warnings

import pytest
from bridge_doubles import on_loop
from carriers import CARRIERS, needs_redis
from layer_doubles import Worked, make, until_async
from patience import PATIENCE_SECONDS

from uvicorn import Channel, ChannelFull, ChannelLayerUnavailable, Group, route
from uvicorn.layers import use

PROGRAM = """
import asyncio, sys
from uvicorn import Channel, Group
name = sys.argv[1]

def plain():
    Group("room").add(name)
    Group("room").send({"text": "1"})
    Channel(name).send({"text": "2"})
    Channel("jobs").send({"n": 3})
    Channel("jobs").send({"n": 4}, delay=0.1)
    Group("room").discard(name)
    Group("room").send({"text": "never"})
    Channel(name).send({"text": "5"})

async def on_loop():
    await Group("room").add(name)
    Group("room").send({"text": "1"})
    Channel(name).send({"text": "2"})
    await Channel("jobs").send({"n": 3})
    await Channel("jobs").send({"n": 4}, delay=0.1)
    await Group("room").discard(name)
    Group("room").send({"text": "never"})
    await Channel(name).send({"text": "5"})

plain() if sys.argv[2] == "plain" else asyncio.run(on_loop())
"""


@pytest.fixture(params=["local", pytest.param("redis", marks=needs_redis)])
def carrier(request):
    made = CARRIERS[request.param]()
    yield made
    made.close()


@pytest.mark.parametrize("side", ["plain", "on_loop"])
@on_loop
async def test_a_program_sends_adds_and_discards_by_the_address_of_the_layer(carrier, side):
    worked = Worked()
    async with make(carrier, route("jobs", worked), threads=1) as node:
        client = node.client()
        name = client.name
        await node.group("room").add(node.client())  # so that the group is subscribed to, before and after
        program = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            PROGRAM,
            name,
            side,
            env={**os.environ, "UVICORN_CHANNEL_LAYER": carrier.url},
            stderr=subprocess.PIPE,
        )
        _, stderr = await program.communicate()
        assert program.returncode == 0, stderr.decode()
        await until_async(lambda: "5" in client.texts and len(worked.messages) == 2)
        assert client.texts == ["1", "2", "5"]
        assert worked.numbers == [3, 4]


@on_loop
async def test_what_a_program_sends_right_after_it_has_added_a_member_is_not_lost(carrier):
    async with make(carrier) as one, make(carrier) as other:
        clients = [node.client() for node in (one, other) for _ in range(5)]

        def act():
            for number, client in enumerate(clients):
                for history in (None, 10):
                    room = Group(f"room{number}{history}", carrier.url, history=history)
                    room.add(client.name)
                    room.send({"text": "1"})

        await asyncio.to_thread(act)
        await until_async(lambda: all(client.texts == ["1", "1"] for client in clients), "messages for new members")


@on_loop
async def test_what_is_wrong_where_a_program_adds_a_member_is_told_to_it(carrier):
    async with make(carrier) as node:
        client = node.client()
        gone = node.client()
        name = gone.name
        gone.leave()

        def subscribe(group):
            raise ChannelLayerUnavailable("no subscription yet")

        node.layer.subscribe = subscribe

        def act():
            with pytest.raises(ChannelLayerUnavailable, match="no subscription yet"):
                Group("room", carrier.url).add(client.name)
            Group("room", carrier.url).add(name)
            Group("room", carrier.url).add("websocket.send!nobody.1")

        await asyncio.to_thread(act)
        del node.layer.subscribe


def in_a_child(act):
    """Fork, and return what is raised in the child as text, "" if nothing is."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # there are threads: that is what applications do
        child = os.fork()
    if not child:
        try:
            signal.alarm(int(PATIENCE_SECONDS))  # rather than to hang for ever
            act()
            os._exit(0)
        except BaseException as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(1)
    os.close(writing)
    with open(reading) as told:
        text = told.read()
    _, status = os.waitpid(child, 0)
    return text or f"{os.waitstatus_to_exitcode(status) or ''}"


@on_loop
async def test_what_the_forked_child_of_a_consumer_sends_is_not_lost(carrier):
    worked = Worked()
    async with make(carrier, route("jobs", worked)) as node:
        node.office.url = carrier.url
        client = node.client()
        await node.group("room").add(client)

        def send():
            Group("room").send({"text": "1"})
            Group("room").send({"text": "2"}, immediately=True)
            Channel("jobs").send({"n": 3})

        told = []
        exchange = node.call(lambda message: told.append(in_a_child(send)))
        await until_async(lambda: exchange.job.is_over)
        assert told == [""]
        await until_async(lambda: len(client.texts) == 2 and worked.messages)
        assert client.texts == ["1", "2"]

        node.office.url = "local://"
        told.clear()
        exchange = node.call(lambda message: told.append(in_a_child(send)))
        await until_async(lambda: exchange.job.is_over)
        assert "ChannelLayerUnavailable: local:// reaches the workers of one master only" in told[0]


@on_loop
async def test_a_full_channel_and_a_wrong_message_are_told_to_a_program(carrier):
    blocked = Worked(blocks=True)
    async with make(carrier, route("jobs", blocked), limits={"capacity": 100}) as node:
        threads = node.pool.threads
        for _ in range(threads):
            await node.channel("jobs").send({})
        await until_async(lambda: blocked.running == threads)

        def act():
            with pytest.raises(TypeError):
                Channel("jobs", carrier.url).send({"x": object()})
            for _ in range(100):
                Channel("jobs", carrier.url).send({})
            with pytest.raises(ChannelFull):
                Channel("jobs", carrier.url).send({})
            Group("room", carrier.url).send({"text": "a group is never full"})

        await asyncio.to_thread(act)
        blocked.go.set()
        await until_async(lambda: len(blocked.messages) == 100 + threads)


def test_a_layer_that_nobody_serves_is_told_in_one_sentence(carrier, tmp_path):
    with pytest.raises(ChannelLayerUnavailable, match="no server uses"):
        Group("room", f"local://{tmp_path}/none").send({"text": "x"})
    with pytest.raises(ChannelLayerUnavailable, match="local:///path, or a redis"):
        Group("room", "local://").send({"text": "x"})
    with pytest.raises(ChannelLayerUnavailable, match="cannot be reached"):
        Group("room", "redis://127.0.0.1:1/0?timeout=1").send({"text": "x"})


def test_a_wrong_url_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="begins with"):
        use("rabbit://host")
    with pytest.raises(ValueError, match="with three slashes it does, local:///run/mysite/layer"):
        use("local://run/mysite/layer")  # it was /mysite/layer
    with pytest.raises(TypeError, match="must be a URL"):
        Group("room", 7).send({})
