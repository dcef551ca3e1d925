"""Consumers that keep the loop, or threads, in every way that is to be told apart."""

import asyncio
import ctypes
import gc
import os
import threading
import time
from pathlib import Path

from uvicorn import route

# ruff: noqa: ASYNC251, ASYNC110
WALL = float(os.environ.get("WATCHED_SECONDS", "0.7"))
doors = {}
waiting = []  # one of each call of `waits`


def door(message):
    """Return the event of all requests with this query, in whichever worker they are; it is never closed again."""
    query = message["query_string"]
    if query in doors:
        return doors[query]
    made = doors.setdefault(query, event := threading.Event())
    if made is event:
        threading.Thread(target=watch_door, args=(file_of(query), event), daemon=True).start()
    return made


def file_of(query):
    """Return the file that opens a door; it is in the server's folder."""
    return Path(f"door-{query.hex()}")


def watch_door(path, event):
    while not path.exists():
        time.sleep(0.05)
    event.set()


def reply(message, text):
    message["reply_channel"].send({"status": 200, "content": text.encode()})


async def sleeps(message):
    time.sleep(WALL)  # LINE: sleeps
    reply(message, "slept")


async def sleeps_long(message):
    time.sleep(3 * WALL)  # LINE: sleeps_long
    reply(message, "slept")


async def computes(message):
    end = time.thread_time() + WALL
    while time.thread_time() < end:  # LINE: computes
        sum(range(100))
    reply(message, "computed")


async def later(message):
    asyncio.get_running_loop().call_soon(callback)
    reply(message, "later")


def callback():
    time.sleep(WALL)  # LINE: callback


async def waits_for_itself(message):
    loop = asyncio.get_running_loop()
    asyncio.run_coroutine_threadsafe(hello(message), loop).result()  # LINE: waits_for_itself


async def holds(message):
    ctypes.PyDLL(None).usleep(ctypes.c_uint(int(WALL * 1e6)))  # LINE: holds
    reply(message, "held")


def holds_in_thread(message):
    end = time.thread_time() + WALL
    while time.thread_time() < end:
        sum(range(30_000_000))  # LINE: holds_in_thread
    reply(message, "held")


class LongToCollect:
    """Garbage that keeps the collector as long as many objects would; the interpreter is kept, too."""

    def __init__(self):
        self.itself = self

    def __del__(self):
        ctypes.PyDLL(None).usleep(ctypes.c_uint(int(WALL * 1e6)))


async def collects(message):
    LongToCollect()
    gc.collect()
    reply(message, "collected")


def burns(message):
    end = time.monotonic() + 3 * WALL
    while time.monotonic() < end:
        sum(range(100))  # LINE: burns
    reply(message, "burnt")


def waits(message):
    waiting.append(message["path"])
    door(message).wait(900)  # LINE: waits
    reply(message, "waited")


async def counts_waits(message):
    reply(message, str(len(waiting)))


async def waits_on_loop(message):
    while not door(message).is_set():
        await asyncio.sleep(0.05)  # LINE: waits_on_loop
    reply(message, "waited")


async def opens(message):
    file_of(message["query_string"]).touch()
    reply(message, "open")


async def hello(message):
    reply(message, str(os.getpid()))


def hello_in_thread(message):
    reply(message, str(os.getpid()))


routes = [
    route("http.request", consumer, path=f"^/{consumer.__name__.replace('_', '-')}$")
    for consumer in (
        sleeps, sleeps_long, computes, later, holds, holds_in_thread, collects, burns, waits, counts_waits,
        waits_on_loop, opens, hello, hello_in_thread, waits_for_itself,
    )
] + [route("http.request", hello)]  # fmt: skip
