"""Consumers and applications that log on each side of each bridge, for servers under test."""

import asyncio
import logging
import time

import anyio.to_thread
from asgiref.sync import async_to_sync, sync_to_async
from fastapi import FastAPI

from uvicorn import Channel, bridge, mount, route

log = logging.getLogger("app")
logging.getLogger("uvicorn.access").addFilter(lambda record: record.args[2] != "/health")


def tell(where):
    log.warning("here: %s", where)


async def tell_on_loop(where):
    tell(where)


def in_thread(message):
    tell("thread")
    bridge.run_on_loop(tell_on_loop("loop below a thread"))
    async_to_sync(tell_on_loop)("asgiref's loop")
    message["reply_channel"].send({"status": 200})


def in_their_log(message):
    logging.getLogger("uvicorn.error").info("written to uvicorn.error")
    message["reply_channel"].send({"status": 200})


async def on_loop(message):
    tell("loop")
    await asyncio.create_task(tell_on_loop("task"))
    await bridge.run_in_pool(tell, "pool")
    await asyncio.to_thread(tell, "asyncio's thread")
    await sync_to_async(tell)("asgiref's thread")
    await anyio.to_thread.run_sync(tell, "anyio's thread")
    message["reply_channel"].send({"status": 200})


def fails(message):
    raise ValueError("as told")


def sends(message):
    Channel("thread").send({"fails": True})
    Channel("loop").send({}, delay=0.01)
    message["reply_channel"].send({"status": 200})


def job(message):
    tell(f"job in a thread of {message['request_id']}")
    if message.get("fails"):
        raise ValueError("as told")


async def job_on_loop(message):
    tell(f"job on the loop of {message['request_id']}")
    Channel("thread").send({})


def slow(message):
    time.sleep(3)
    message["reply_channel"].send({"status": 200})


async def echo(message):
    if message["channel"] == "websocket.connect":
        message["reply_channel"].send({"accept": True})
        return
    tell(message["channel"])
    if message["channel"] == "websocket.receive":
        message["reply_channel"].send({"text": message["request_id"]})


service = FastAPI()


@service.get("/sync")
def endpoint():
    tell("FastAPI's thread")


@service.get("/async")
async def endpoint_on_loop():
    tell("FastAPI")


def view(environ, start_response):
    tell("WSGI")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["HTTP_X_REQUEST_ID"].encode()]


async def ready(message):
    message["reply_channel"].send({"status": 200})


routes = [
    route("http.request", in_their_log, path="^/their-log$"),
    route("http.request", in_thread, path="^/thread$"),
    route("http.request", on_loop, path="^/loop$"),
    route("http.request", fails, path="^/fails$"),
    route("http.request", slow, path="^/slow$"),
    route("http.request", sends, path="^/sends$"),
    route("thread", job),
    route("loop", job_on_loop),
    *(route(f"websocket.{name}", echo, path="^/socket$") for name in ("connect", "receive", "disconnect")),
    mount("/fastapi", service),
    mount("/wsgi", view),
    route("http.request", ready),
]
