"""The socket consumers that the integration tests serve, for a thread and for the loop; and a page for a browser."""

import asyncio
import json
import threading
import time

from uvicorn import ChannelClosed, route

events = []  # (channel, path, what it had), in the order of the calls
reports = []
kept = {}


def describe(message):
    events.append((message["channel"], message["path"], message.get("text") or message.get("code")))


def whole(content, kind=b"text/plain"):
    return {"status": 200, "headers": [(b"content-type", kind)], "content": content}


def echo(message):
    describe(message)
    if message["channel"] == "websocket.connect":
        kept[message["path"]] = message["reply_channel"]
        protocols = message["subprotocols"]
        message["reply_channel"].send({"accept": True, "subprotocol": protocols[-1] if protocols else None})
    elif message["channel"] == "websocket.receive":
        text = message["text"]
        message["reply_channel"].send({"text": text} if text is not None else {"bytes": message["bytes"]})


async def echo_async(message):
    describe(message)
    if message["channel"] == "websocket.connect":
        kept[message["path"]] = message["reply_channel"]
        protocols = message["subprotocols"]
        message["reply_channel"].send({"accept": True, "subprotocol": protocols[-1] if protocols else None})
    elif message["channel"] == "websocket.receive":
        text = message["text"]
        await message["reply_channel"].send({"text": text} if text is not None else {"bytes": message["bytes"]})


def from_threads(message):
    """Answer one message with as many as it says, from each of as many threads."""
    if message["channel"] == "websocket.connect":
        message["reply_channel"].send({"accept": True})
    elif message["channel"] == "websocket.receive":
        threads, sends = map(int, message["text"].split())
        channel = message["reply_channel"]
        for thread in range(threads):
            threading.Thread(target=send_many, args=(channel, thread, sends), daemon=True).start()


def send_many(channel, thread, sends):
    for number in range(sends):
        channel.send({"text": f"{thread} {number}"})


def slow_end(message):
    """Take half a second for `websocket.disconnect`: what a worker that stops must wait for."""
    if message["channel"] == "websocket.connect":
        message["reply_channel"].send({"accept": True})
    elif message["channel"] == "websocket.disconnect":
        time.sleep(0.5)
        print(f"end of {message['path']} with {message['code']}", flush=True)


async def slow_end_async(message):
    if message["channel"] == "websocket.connect":
        message["reply_channel"].send({"accept": True})
    elif message["channel"] == "websocket.disconnect":
        await asyncio.sleep(0.5)
        print(f"end of {message['path']} with {message['code']}", flush=True)


def flood(message):
    """Send until the client has left, and say how it ended."""
    if message["channel"] == "websocket.connect":
        message["reply_channel"].send({"accept": True})
    elif message["channel"] == "websocket.receive":
        sent = 0
        try:
            while True:
                message["reply_channel"].send({"bytes": bytes(65536)})
                sent += 1
        except ChannelClosed as error:
            events.append(("flood", sent, type(error).__name__))
    elif message["channel"] == "websocket.disconnect":
        events.append(("flood ended", message["path"], message["code"]))


async def block_the_loop(message):
    if message["channel"] == "websocket.connect":
        message["reply_channel"].send({"accept": True})
    elif message["channel"] == "websocket.receive":
        print("the loop is blocked", flush=True)
        time.sleep(3600)  # noqa: ASYNC251 (that is what is tested)


def page(message):
    message["reply_channel"].send(whole(PAGE, b"text/html; charset=utf-8"))


def report(message):
    reports.append(message["body"].decode())
    message["reply_channel"].send(whole(b"thank you"))


async def state(message):
    body = json.dumps({"events": events, "reports": reports, "threads": threading.active_count()}).encode()
    message["reply_channel"].send(whole(body, b"application/json"))


async def push(message):
    """Send to a socket from the consumer of a request."""
    kept[message["query_string"].decode()].send({"text": "pushed"})
    message["reply_channel"].send(whole(b"done"))


async def hello(message):
    message["reply_channel"].send(whole(b"hello"))


# What a browser does with both kinds of consumers; it tells at /report what came of it.
PAGE = b"""<!doctype html><title>sockets</title><script>
function run(path) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://${location.host}${path}`, ["one", "two"]);
    socket.binaryType = "arraybuffer";
    const got = [];
    const text = "caf\\u00e9 ".repeat(50000);
    socket.onopen = () => { socket.send("hello"); socket.send(text); socket.send(new Uint8Array([0, 255]).buffer); };
    socket.onmessage = event => {
      got.push(typeof event.data === "string" ? event.data === text || event.data : new Uint8Array(event.data).join());
      if (got.length === 3) socket.close(4321, "enough");
    };
    socket.onerror = () => reject("error");
    socket.onclose = event => resolve([path, socket.protocol, socket.extensions, got, event.code, event.wasClean]);
  });
}
(async () => {
  let result;
  try { result = [await run("/async/echo"), await run("/sync/echo")]; } catch (error) { result = String(error); }
  await fetch("/report", {method: "POST", body: JSON.stringify(result)});
})();
</script>"""

CHANNELS = ("websocket.connect", "websocket.receive", "websocket.disconnect")


def sockets(path, consumer):
    return [route(channel, consumer, path=f"^{path}") for channel in CHANNELS]


routes = [
    *sockets("/sync/echo", echo),
    *sockets("/async/echo", echo_async),
    *sockets("/sync/from-threads", from_threads),
    *sockets("/sync/slow-end", slow_end),
    *sockets("/async/slow-end", slow_end_async),
    *sockets("/sync/flood", flood),
    *sockets("/async/block-the-loop", block_the_loop),
    route("http.request", page, path="^/page$"),
    route("http.request", report, path="^/report$"),
    route("http.request", state, path="^/state$"),
    route("http.request", push, path="^/push$"),
    route("http.request", hello),
]
