"""FastAPI and Starlette with sockets, for servers under test."""

import asyncio
import contextlib

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from uvicorn import mount

events = []
fast = FastAPI()


@fast.get("/state")
async def state():
    """Return what has happened in this worker."""
    return {"events": events}


@fast.websocket("/echo")
async def echo(socket: WebSocket):
    offered = socket.scope["subprotocols"]
    await socket.accept(subprotocol=offered[-1] if offered else None, headers=[(b"x-a", b"b")])
    try:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"], message["reason"])
            if message.get("text") is None:
                await socket.send_bytes(message["bytes"])
            else:
                await socket.send_text(message["text"])
    except WebSocketDisconnect as error:
        events.append(["disconnect", error.code, error.reason])


@fast.websocket("/push/{count}")
async def push(socket: WebSocket, count: int):
    await socket.accept()
    try:
        for number in range(count):
            await socket.send_text(f"{number} {'x' * 1000}")
        await socket.close(4005, "all")
    except WebSocketDisconnect:
        events.append(["push was cut", number])


@fast.websocket("/denied")
async def denied(socket: WebSocket):
    await socket.send_denial_response(JSONResponse({"detail": "who are you?"}, 401))


@fast.websocket("/refused")
async def refused(socket: WebSocket):
    await socket.close(1008)


@fast.websocket("/broken/{when}")
async def broken(socket: WebSocket, when: str):
    if when == "after":
        await socket.accept()
    raise LookupError("as the test wants")


@fast.websocket("/deaf")
async def deaf(socket: WebSocket):
    """End at nothing but cancellation."""
    await socket.accept()
    try:
        while True:
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await asyncio.Event().wait()
    finally:
        print("deaf was cancelled", flush=True)


async def where(request):
    return JSONResponse([request.scope["root_path"], request.url.path])


async def where_socket(socket):
    await socket.accept()
    await socket.send_json([socket.scope["root_path"], socket.url.path, str(socket.url_for("socket")).split("/", 3)[3]])
    await socket.close()


star = Starlette(routes=[Route("/where", where), WebSocketRoute("/socket", where_socket, name="socket")])
routes = [mount("/star", star), mount("/", fast)]
