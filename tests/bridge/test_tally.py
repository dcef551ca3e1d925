"""What calls took: counted in buckets, handed over by threads, added up by the loop."""

import threading

import pytest
from bridge_doubles import Bridge, on_loop

from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.jobs import ConsumerJob, SocketJob
from uvicorn.bridge.tally import BOUNDS, Measured, Tally
from uvicorn.messages import Message


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, 0), (0.0005, 0), (0.00051, 1), (0.3, 9), (30.0, 14), (31.0, 15), (1e9, 15)]
)
def test_a_call_belongs_to_the_first_bound_that_is_not_below_it(seconds, bucket):
    tally = Tally()
    tally.add_run(seconds)
    assert [number for number, count in enumerate(tally.runs) if count] == [bucket]
    assert (tally.calls, tally.run_seconds, sum(tally.waits)) == (1, seconds, 0)
    assert len(tally.runs) == len(BOUNDS) + 1


def test_what_many_threads_hand_over_is_added_up_once():
    tally, measured = Tally(), Measured()

    def hand_over():
        for _ in range(1000):
            measured.hand_over(tally, 0.001, 0.25)

    threads = [threading.Thread(target=hand_over) for _ in range(4)]
    for thread in threads:
        thread.start()
    while tally.calls < 4000:
        measured.take()
    for thread in threads:
        thread.join()
    measured.take()
    assert (tally.calls, sum(tally.waits), len(measured)) == (4000, 4000, 0)
    assert tally.run_seconds == pytest.approx(1000.0)
    assert tally.wait_seconds == pytest.approx(4.0)


@pytest.mark.parametrize("kind", [ConsumerJob, SocketJob])
@on_loop
async def test_what_is_handed_over_is_added_up_before_it_becomes_much(kind):
    async with Bridge() as bridge:
        tally, measured = Tally(), bridge.dispatcher.measured
        for _ in range(513):
            assert tally.calls == 0
            measured.hand_over(tally, 0.0, 0.0)
        kind(bridge.dispatcher, Consumer(print), Message(channel="websocket.receive"), bridge.make_exchange())
        assert (tally.calls, len(measured)) == (513, 0)
