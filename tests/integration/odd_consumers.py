"""Consumers that fail, that forget to reply, or that reply after they have returned."""

import asyncio
import contextlib
import sys
import threading
import time

from consumer_state import kept, whole

from uvicorn import ChannelClosed

# ---- failing ones ----


def fail(message):
    raise RuntimeError("failed in a thread")


async def fail_async(message):
    raise RuntimeError("failed on the loop")


def fail_late(message):
    message["reply_channel"].send({"status": 200, "content": b"half", "more_content": True})
    raise RuntimeError("failed late in a thread")


async def fail_late_async(message):
    message["reply_channel"].send({"status": 200, "content": b"half", "more_content": True})
    raise RuntimeError("failed late on the loop")


def bad_reply(message):
    message["reply_channel"].send({"status": 200, "content": "text"})


async def bad_reply_async(message):
    message["reply_channel"].send({"status": 200, "content": "text"})


def drop(message):
    """Return without a reply."""


async def drop_async(message):
    pass


def give_coroutine(message):
    return drop_async(message)


# ---- keeping the channel ----


def reply_unless_closed(reply_channel, content):
    with contextlib.suppress(ChannelClosed):
        reply_channel.send(whole(content))


def later(message):
    """Return at once; another thread replies."""
    words = message["reply_channel"], b"later, from another thread"
    timer = threading.Timer(0.05, reply_unless_closed, words)
    timer.daemon = True
    timer.start()


async def later_async(message):
    words = message["reply_channel"], b"later, from the loop"
    asyncio.get_running_loop().call_later(0.05, reply_unless_closed, *words)


async def keep(message):
    """Keep the channel and never reply."""
    kept.append(message["reply_channel"])


async def forget(message):
    """Let go of the channels that keep() keeps."""
    kept.clear()
    message["reply_channel"].send(whole(b"forgotten"))


# ---- leaving things behind ----


async def block_in_c(message):
    """Hold the interpreter in C code, where no signal handler of Python runs; without taking a processor."""
    import ctypes

    print("the loop is blocked in C", flush=True)
    functions = ctypes.PyDLL(None)  # they do not let go of the interpreter, and are not interrupted by signals
    lock = ctypes.create_string_buffer(128)
    functions.pthread_mutex_init(lock, None)
    functions.pthread_mutex_lock(lock)
    functions.pthread_mutex_lock(lock)


async def leave_a_thread(message):
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)
    message["reply_channel"].send(whole(b"left a thread"))


async def _never_ending():
    try:
        yield 1
    finally:
        await asyncio.sleep(3600)


_left = []


async def leave_a_generator(message):
    _left.append(_never_ending())
    await _left[-1].__anext__()
    message["reply_channel"].send(whole(b"left a generator"))


def drop_in_a_cycle(message):
    cycle = [message]
    cycle.append(cycle)


async def drop_in_a_cycle_async(message):
    cycle = [message]
    cycle.append(cycle)


async def _exit():
    sys.exit(3)


async def exit_in_a_task(message):
    _left.append(asyncio.get_running_loop().create_task(_exit()))
    await asyncio.sleep(0.5)
    message["reply_channel"].send(whole(b"answered all the same"))
