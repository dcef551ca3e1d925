"""Redis behind TLS, a cluster of such, and one that Sentinel names: groups and channels, from workers and a program."""

import asyncio
import gc

import pytest
from bridge_doubles import on_loop
from carriers import RedisCarrier, needs_redis, wait_for_redis
from certificates import Files
from layer_doubles import Worked, make, node_on, until_async
from patience import NEVER_SECONDS
from redis_cluster import RedisCluster
from redis_sentinel import RedisSentinel
from redis_server import RedisServer

from uvicorn import Channel, ChannelLayerUnavailable, Group, route
from uvicorn.layers.limits import ChannelLimits
from uvicorn.layers.opening import open_layer
from uvicorn.layers.redis_servers import RedisAddress, told

pytestmark = needs_redis


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Files(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module", params=["TLS", "Sentinel", "Sentinel and TLS", "cluster and TLS"])
def place(request, certificates):
    if request.param == "TLS":
        made = RedisServer(certificates=certificates)
    elif request.param == "cluster and TLS":
        made = RedisCluster(certificates)
    else:
        made = RedisSentinel(certificates if "TLS" in request.param else None)
    yield made
    made.close()


def open_sockets():
    """Return the sockets of the running loop's transports that are open.

    A connection under TLS is closed when the other side has said goodbye, too; redis-py does not wait for that after a
    read that was cancelled. A loop that ends before then would leave its socket open.
    """
    # By its type: isinstance asks the object itself, and Django's settings are none before they are configured.
    # Those below TLS, which forgets its own when it closes.
    kind, loop = getattr(asyncio.selector_events, "_SelectorSocketTransport"), asyncio.get_running_loop()  # noqa: B009
    found = [each for each in gc.get_objects() if type(each) is kind and each._loop is loop]
    sockets = [each.get_extra_info("socket") for each in found]
    return [opened for opened in sockets if opened is not None and opened.fileno() >= 0]


@on_loop
async def test_groups_and_channels_work_from_workers_and_from_a_program(place):
    worked = Worked()
    carrier = RedisCarrier(place)
    async with make(carrier) as one, make(carrier, route("jobs", worked)) as other:
        far = other.client()
        await other.group("room").add(far)
        await one.group("room").send({"text": "from a worker"})
        await one.channel("jobs").send({"n": 1})
        await one.channel("jobs").send({"n": 2}, delay=0.05)

        def program():
            Group("room", carrier.url).send({"text": "from a program"})
            Channel("jobs", carrier.url).send({"n": 3})

        await asyncio.to_thread(program)
        await until_async(lambda: len(worked.messages) == 3 and len(far.texts) == 2)
        assert sorted(far.texts) == ["from a program", "from a worker"]
        assert sorted(worked.numbers) == [1, 2, 3]
        assert one.log.texts("error") == other.log.texts("error") == []
        assert open_sockets()
    await until_async(lambda: not open_sockets())


@on_loop
async def test_a_certificate_that_nobody_vouches_for_is_refused(certificates):
    server = RedisServer(certificates=certificates)
    try:
        url = server.url.partition("?")[0] + f"?timeout={NEVER_SECONDS}"  # it is refused, however busy the machine is
        async with node_on(lambda log: open_layer(url, None, ChannelLimits(), log)) as node:
            await until_async(lambda: node.log.texts("error"))  # a busy machine takes longer than a start waits
            [text] = node.log.texts("error")
            assert "CERTIFICATE_VERIFY_FAILED" in text
            wait_for_redis(node, 1.0)
            with pytest.raises(ChannelLayerUnavailable):
                await node.group("room").send({"text": "1"})
    finally:
        server.close()


@on_loop
async def test_when_the_master_dies_the_one_that_sentinel_names_next_is_used():
    place = RedisSentinel()
    try:
        worked = Worked()
        async with make(RedisCarrier(place), route("jobs", worked)) as node:
            client = node.client()
            await node.group("room").add(client)
            await node.group("room").send({"text": "before"})
            await until_async(lambda: client.texts == ["before"])
            place.kill_master()

            async def is_sent(send):
                try:
                    await send()
                except ChannelLayerUnavailable:
                    return False
                return True

            while "after" not in client.texts:
                await is_sent(lambda: node.group("room").send({"text": "after"}))
                await asyncio.sleep(0.02)
            # Once: those that the reader, which tries again more and more seldom, has not found yet fill the channel.
            is_job_sent = False
            while not is_job_sent:
                is_job_sent = await is_sent(lambda: node.channel("jobs").send({"n": 1}))
                await asyncio.sleep(0.02)
            await until_async(lambda: worked.messages)
            assert client.gaps
            assert len([text for text in node.log.texts("error") if "cannot be reached" in text]) == 1
    finally:
        place.close()


def test_a_sentinel_that_cannot_be_reached_is_told_in_words():
    with RedisAddress("redis+sentinel://127.0.0.1:1/mymaster/0?timeout=1").program_client() as client:
        with pytest.raises(Exception, match="No master found") as raised:
            client.ping()
        assert told(raised.value) == (
            "No master found for 'mymaster': no Sentinel can be reached, or none that can be knows of one"
        )


@pytest.mark.parametrize("scheme", ["redis+sentinel", "redis+cluster"])
def test_an_option_that_has_no_effect_is_refused(scheme):
    with pytest.raises(ValueError, match="socket_keepalive"):
        RedisAddress(f"{scheme}://host?socket_keepalive=1")
    RedisAddress(f"{scheme}://host?ssl_ca_certs=/a&ssl_check_hostname=false")
