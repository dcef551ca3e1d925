"""Consumers that do to their worker what none should."""

import os
import signal
import socket
import threading
import time

from consumer_state import query_of, whole

import uvicorn
from uvicorn import route

state = {"hanging": 0}


def hello(message):
    message["reply_channel"].send(whole(b"from a thread, %d" % os.getpid()))


async def hello_async(message):
    message["reply_channel"].send(whole(b"from the loop, %d" % os.getpid()))


def wait(message):
    time.sleep(float(query_of(message)["seconds"]))
    message["reply_channel"].send(whole(b"waited"))


async def hanging(message):
    message["reply_channel"].send(whole(b"%d" % state["hanging"]))


def hang(message):
    """Wait for what never comes."""
    state["hanging"] += 1
    threading.Event().wait()


def burn(message):
    """Compute for ever."""
    state["hanging"] += 1
    while True:
        pass


@uvicorn.runs_long
def long(message):
    """Wait as long as it takes, and say so."""
    hang(message)


def raise_exit(message):
    raise SystemExit("a consumer wants to leave")


async def raise_exit_async(message):
    raise SystemExit("a consumer wants to leave")


def raise_interrupt(message):
    raise KeyboardInterrupt


def exit_process(message):
    os._exit(int(query_of(message).get("code", 7)))


def fork(message):
    """Leave a child behind, which has all our descriptors for a while."""
    if os.fork() == 0:
        time.sleep(float(query_of(message).get("seconds", 0)))
        os._exit(0)
    message["reply_channel"].send(whole(b"forked"))


def return_twice(message):
    """Forget that a child goes on where its parent does."""
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # seconds; its thread goes back to a pool that nobody serves, and would wait there for ever
    message["reply_channel"].send(whole(b"the child" if child == 0 else b"the parent"))


def close_descriptors(message):
    os.closerange(3, 4096)


def close_own_socket(message):
    """Close the descriptor of the connection that the request came by."""
    own = message["client"][1]
    for name in os.listdir("/proc/self/fd"):
        if _peer_port(int(name)) == own:
            os.close(int(name))
            print("closed its socket", flush=True)
            return


def _peer_port(descriptor):
    try:
        with socket.socket(fileno=os.dup(descriptor)) as found:
            return found.getpeername()[1]
    except (OSError, IndexError):
        return 0


def stream_for_ever(message):
    channel = message["reply_channel"]
    channel.send({"status": 200, "content": b"x" * 1000, "more_content": True})
    while True:
        channel.send({"content": b"x" * 65536, "more_content": True})


async def accept(message):
    if message["channel"] == "websocket.connect":
        message["reply_channel"].send({"accept": True})


def open_files(message):
    """Open as many files as there may be, and keep them for a while."""
    files = []
    try:
        while True:
            files.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        time.sleep(float(query_of(message).get("seconds", 0.5)))
        text = f"{len(files)} files, then {error.strerror}"
    finally:
        for file in files:
            os.close(file)
    message["reply_channel"].send(whole(text.encode()))


routes = [
    route("http.request", hello, path="^/hello$"),
    route("http.request", hello_async, path="^/hello-async$"),
    route("http.request", hanging, path="^/hanging$"),
    route("http.request", wait, path="^/wait$"),
    route("http.request", hang, path="^/hang$"),
    route("http.request", burn, path="^/burn$"),
    route("http.request", long, path="^/long$"),
    route("http.request", raise_exit, path="^/raise-exit$"),
    route("http.request", raise_exit_async, path="^/raise-exit-async$"),
    route("http.request", raise_interrupt, path="^/raise-interrupt$"),
    route("http.request", exit_process, path="^/exit-process$"),
    route("http.request", fork, path="^/fork$"),
    route("http.request", return_twice, path="^/return-twice$"),
    route("http.request", close_descriptors, path="^/close-descriptors$"),
    route("http.request", close_own_socket, path="^/close-own-socket$"),
    route("http.request", stream_for_ever, path="^/stream-for-ever$"),
    route("http.request", open_files, path="^/open-files$"),
    *(route(channel, accept, path="^/socket$") for channel in ("websocket.connect", "websocket.receive")),
    route("http.request", hello_async, path="^/ready$"),
]
