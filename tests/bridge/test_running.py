"""The registry of what runs: the same for requests and for sockets."""

import asyncio

import pytest
from bridge_doubles import FakeExchange, on_loop

from uvicorn.bridge.running import Running


class FakeOwner(FakeExchange):
    """A request or a socket that counts the calls that never began."""

    def __init__(self):
        super().__init__()
        self.unbegun = 0

    def on_not_called(self):
        self.unbegun += 1


KINDS = pytest.mark.parametrize("kind", ["requests", "sockets"])


async def forever():
    await asyncio.Event().wait()


async def started(running, kind):
    """Return something that a task runs for, and the task."""
    owner = FakeOwner()
    task = asyncio.get_running_loop().create_task(forever())
    getattr(running, kind)[owner] = task
    await asyncio.sleep(0)
    return owner, task


def make_running():
    return Running(asyncio.get_running_loop(), ())


@KINDS
@on_loop
async def test_what_runs_is_told_and_waited_for(kind):
    running = make_running()
    assert running.is_idle
    owner, task = await started(running, kind)
    assert not running.is_idle
    assert list(running.calls()) == [(owner, task)]
    running.abort()
    await asyncio.wait([task])
    assert task.cancelled()


@KINDS
@on_loop
async def test_a_task_is_cancelled_when_its_grace_has_passed_and_not_before(kind):
    running = make_running()
    owner, task = await started(running, kind)
    assert running.cancel(owner, 1000.0)
    running.tick()
    await asyncio.sleep(0)
    assert not task.done()
    assert running.cancel(owner, 0.0)
    running.tick()
    await asyncio.wait([task])
    assert task.cancelled()


@KINDS
@on_loop
async def test_a_task_that_is_cancelled_before_it_began_is_told_to_its_owner(kind):
    running = make_running()
    owner = FakeOwner()
    task = asyncio.get_running_loop().create_task(forever())
    getattr(running, kind)[owner] = task
    running.abort()
    await asyncio.wait([task])
    assert (task.cancelled(), owner.unbegun) == (True, 1)


@on_loop
async def test_a_cancel_that_is_due_later_does_not_meet_the_next_call():
    running = make_running()
    owner, task = await started(running, "sockets")
    running.cancel(owner, 0.0)
    running.on_returned(owner)
    running.sockets[owner] = task  # the next call, made by the same task
    running.tick()
    await asyncio.sleep(0)
    assert not task.done()
    running.abort()
    await asyncio.wait([task])


@on_loop
async def test_nothing_is_to_cancel_where_nothing_runs_on_the_loop():
    running = make_running()
    assert not running.cancel(FakeOwner(), 0.0)
    running.tick()
    assert running.is_idle


@on_loop
async def test_a_kept_task_is_counted_until_it_ends_and_what_it_raises_is_told():
    running = make_running()
    owner, end = FakeOwner(), asyncio.get_running_loop().create_future()

    async def kept():
        await end

    task = asyncio.get_running_loop().create_task(kept())
    running.keep(task, owner)
    assert not running.is_idle
    assert list(running.calls()) == [(owner, task)]
    end.set_exception(LookupError("broken"))
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert running.is_idle
    assert [type(error) for error in owner.failures] == [LookupError]
