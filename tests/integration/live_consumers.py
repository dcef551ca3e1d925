"""The consumers that the integration tests serve: most of them twice, for a thread and for the loop.

`routes` has them all. A path begins with the side that serves it: `/sync/hello`, `/async/hello`. Numbers and names
come in the query: `/sync/stream?chunks=10&size=100`. `/state` tells what is left in the worker, `/release`
lets a consumer go on that waits in `hold`.
"""

import asyncio
import functools
import gc
import hashlib
import os
import sys
import threading
import time
from collections import Counter

import odd_consumers as odd
from consumer_state import PIECE, TEXT, as_json, calls, gate, holding, query_of, whole

from uvicorn import ChannelClosed, Router, route, streams_body

TOLD = ("http_version", "method", "scheme", "path", "root_path", "client", "server")


# ---- hello, and what the consumer was given ----


def hello(message):
    message["reply_channel"].send(whole(b"hello from a thread"))


async def hello_async(message):
    message["reply_channel"].send(whole(b"hello from the loop"))


def described(message):
    return {
        "thread": threading.current_thread().name,
        "pid": os.getpid(),
        **{name: message[name] for name in TOLD},
        "query": message["query_string"].decode("latin-1"),
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in message["headers"]],
    }


def describe(message):
    message["reply_channel"].send(as_json(described(message)))


async def describe_async(message):
    message["reply_channel"].send(as_json(described(message)))


# ---- bodies ----


def echo(message):
    rest = message["body_channel"]
    message["reply_channel"].send(whole(message["body"] + (b"".join(rest) if rest is not None else b"")))


async def echo_async(message):
    content = message["body"]
    if message["body_channel"] is not None:
        content += await message["body_channel"].read(1 << 30)
    message["reply_channel"].send(whole(content))


def digest(message):
    """Hash a body of any size, piece by piece."""
    seen = hashlib.md5(message["body"])
    size = len(message["body"])
    for chunk in message["body_channel"] or ():
        seen.update(chunk)
        size += len(chunk)
    message["reply_channel"].send(as_json([size, seen.hexdigest()]))


@streams_body
def digest_as_it_comes(message):
    digest(message)


async def digest_async(message):
    seen = hashlib.md5(message["body"])
    size = len(message["body"])
    if message["body_channel"] is not None:
        async for chunk in message["body_channel"]:
            seen.update(chunk)
            size += len(chunk)
    message["reply_channel"].send(as_json([size, seen.hexdigest()]))


def ignore_body(message):
    """Answer a large body without reading it."""
    message["reply_channel"].send(whole(b"not read", status=403))


# ---- streams ----


def stream_shape(message):
    query = query_of(message)
    chunks, size = int(query.get("chunks", 3)), int(query.get("size", len(PIECE)))
    headers = [*TEXT, (b"content-length", b"%d" % (chunks * size))] if "length" in query else TEXT
    return chunks, (PIECE * (size // len(PIECE) + 1))[:size], headers


def stream(message):
    """Send `chunks` chunks of `size` bytes; count what happened in `calls`."""
    chunks, content, headers = stream_shape(message)
    send = message["reply_channel"].send
    try:
        send({"status": 200, "headers": headers, "more_content": True})
        for _ in range(chunks):
            send({"content": content, "more_content": True})
        send({})
    except ChannelClosed as error:
        calls[f"sync stream: {type(error).__name__}"] += 1
        raise
    calls["sync stream: complete"] += 1


async def stream_async(message):
    chunks, content, headers = stream_shape(message)
    send = message["reply_channel"].send
    try:
        send({"status": 200, "headers": headers, "more_content": True})
        for _ in range(chunks):
            await send({"content": content, "more_content": True})
        send({})
    except (ChannelClosed, asyncio.CancelledError) as error:
        calls[f"async stream: {type(error).__name__}"] += 1
        raise
    calls["async stream: complete"] += 1


# ---- slow ones ----


def slow(message):
    time.sleep(float(query_of(message).get("seconds", 0.2)))
    message["reply_channel"].send(whole(b"slept in a thread"))


async def slow_async(message):
    await asyncio.sleep(float(query_of(message).get("seconds", 0.2)))
    message["reply_channel"].send(whole(b"slept on the loop"))


def hold(message):
    """Wait until /release names this one."""
    name = query_of(message)["name"]
    holding[name] += 1
    try:
        gate(name).wait()
    finally:
        holding[name] -= 1
    calls[name] += 1
    message["reply_channel"].send(whole(name.encode()))


async def hold_async(message):
    name = query_of(message)["name"]
    holding[name] += 1
    try:
        while not gate(name).is_set():  # noqa: ASYNC110 (threads wait at the same gate)
            await asyncio.sleep(0.005)
    finally:
        holding[name] -= 1
    calls[name] += 1
    message["reply_channel"].send(whole(name.encode()))


async def release(message):
    gate(query_of(message)["name"]).set()
    message["reply_channel"].send(whole(b"released"))


def compute(message):
    """Use 20 ms of CPU time, without a break."""
    end = time.thread_time() + 0.02
    while time.thread_time() < end:
        pass
    message["reply_channel"].send(whole(b"computed"))


def spin(message):
    """Compute for a while, without giving up the interpreter on purpose."""
    end = time.monotonic() + float(query_of(message).get("seconds", 0.02))
    turns = 0
    while time.monotonic() < end:
        turns += 1
    message["reply_channel"].send(whole(b"spun"))


async def block_the_loop(message):
    """Do what an asynchronous consumer must never do."""
    holding["loop"] += 1
    print("the loop is blocked", flush=True)
    time.sleep(3600)  # noqa: ASYNC251


def never_return(message):
    holding["stuck"] += 1
    threading.Event().wait()


async def never_return_async(message):
    holding["stuck task"] += 1
    try:
        await asyncio.Event().wait()
    finally:
        holding["stuck task"] -= 1


# ---- small things ----


async def status(message):
    """Answer with a status, and with content where there may be some."""
    code = int(query_of(message)["code"])
    message["reply_channel"].send(whole(b"" if code in (204, 304) else b"content", status=code))


async def disconnected(message):
    calls["disconnect"] += 1


async def state(message):
    """Tell what is in this worker, after a collection."""
    gc.collect()
    ours = ("HTTPConnection", "Exchange", "ReplyChannel", "ConsumerJob", "RequestBody", "Task", "Message")
    names = Counter(type(thing).__name__ for thing in gc.get_objects())
    value = {
        "pid": os.getpid(),
        "switch_interval": sys.getswitchinterval(),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "tasks": len(asyncio.all_tasks()),
        "files": len(os.listdir("/proc/self/fd")),
        "calls": calls,
        "holding": {name: count for name, count in [*holding.items()] if count > 0},  # a copy: threads write to it
        "objects": {name: names[name] for name in ours},
    }
    message["reply_channel"].send(as_json(value))


def pair(name, synchronous, asynchronous):
    return [
        route("http.request", synchronous, path=f"^/sync/{name}$"),
        route("http.request", asynchronous, path=f"^/async/{name}$"),
    ]


def single(path, consumer):
    return route("http.request", consumer, path=f"^{path}$")


routes = [
    *pair("hello", hello, hello_async),
    *pair("describe", describe, describe_async),
    *pair("echo", echo, echo_async),
    *pair("digest", digest, digest_async),
    single("/sync/digest-as-it-comes", digest_as_it_comes),
    route("http.request", ignore_body, path="^/sync/ignore-body$", body="stream"),
    *pair("stream", stream, stream_async),
    *pair("slow", slow, slow_async),
    *pair("hold", hold, hold_async),
    *pair("never-return", never_return, never_return_async),
    *pair("fail", odd.fail, odd.fail_async),
    *pair("fail-late", odd.fail_late, odd.fail_late_async),
    *pair("bad-reply", odd.bad_reply, odd.bad_reply_async),
    *pair("drop", odd.drop, odd.drop_async),
    *pair("later", odd.later, odd.later_async),
    *pair("partial", functools.partial(hello), functools.partial(hello_async)),
    single("/sync/give-coroutine", odd.give_coroutine),
    single("/sync/spin", spin),
    single("/sync/compute", compute),
    single("/async/block-the-loop", block_the_loop),
    single("/async/block-in-c", odd.block_in_c),
    single("/sync/drop-in-a-cycle", odd.drop_in_a_cycle),
    single("/async/drop-in-a-cycle", odd.drop_in_a_cycle_async),
    single("/async/exit-in-a-task", odd.exit_in_a_task),
    single("/async/leave-a-thread", odd.leave_a_thread),
    single("/async/leave-a-generator", odd.leave_a_generator),
    single("/async/keep", odd.keep),
    single("/forget", odd.forget),
    single("/status", status),
    single("/release", release),
    single("/state", state),
    route("http.disconnect", disconnected),
]

router = Router(routes)  # for where Gunicorn itself loads the application: it wants something callable

# ---- what cannot be served ----

not_callable = 42
no_routes = []
not_a_route = [hello]


def no_arguments():
    pass


def two_arguments(message, other):
    pass
