"""Separate pools, and calls from one side to the other, for servers under test."""

import asyncio
import contextvars
import threading

from uvicorn import bridge, mount, route, wsgi

VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")
GATE = threading.Event()
held = []


def thread_name():
    return threading.current_thread().name


def answer(message, text):
    message["reply_channel"].send({"status": 200, "content": str(text).encode()})


def hold(message):
    """Hold a thread until `/release`."""
    held.append(thread_name())
    GATE.wait()
    answer(message, thread_name())


def slow_wsgi(environ, start_response):
    held.append(thread_name())
    GATE.wait()
    start_response("200 OK", [])
    return [thread_name().encode()]


def quick(message):
    answer(message, thread_name())


async def state(message):
    answer(message, " ".join(sorted(held)))


async def release(message):
    GATE.set()
    answer(message, "released")


async def to_the_pool(message):
    """Call a function in either pool; its context variable comes back."""

    def change():
        VARIABLE.set(VARIABLE.get() + " and back")
        return thread_name()

    VARIABLE.set("there")
    names = [await bridge.run_in_pool(change), await bridge.run_in_pool(thread_name, pool="reports")]
    answer(message, f"{names} {VARIABLE.get()}")


def to_the_loop(message):
    async def here():
        await asyncio.sleep(0)
        return thread_name()

    answer(message, bridge.run_on_loop(here()))


def wrong_side(message):
    try:
        bridge.run_in_pool(thread_name)
    except RuntimeError as error:
        answer(message, error)


def wait_for_ever(message):
    """Wait on the loop until the worker stops; note how that ends."""

    async def never():
        held.append("never")
        await asyncio.Event().wait()

    try:
        bridge.run_on_loop(never())
    except Exception as error:
        with open("ended.txt", "w") as file:
            file.write(type(error).__name__)
        raise


routes = [
    mount("/reports", wsgi(slow_wsgi), pool="reports", threads=2),
    route("http.request", hold, path="^/hold$", pool="reports"),
    route("http.request", state, path="^/state$"),
    route("http.request", release, path="^/release$"),
    route("http.request", to_the_pool, path="^/to-the-pool$"),
    route("http.request", to_the_loop, path="^/to-the-loop$"),
    route("http.request", wrong_side, path="^/wrong-side$"),
    route("http.request", wait_for_ever, path="^/wait-for-ever$"),
    route("http.request", quick),
]
