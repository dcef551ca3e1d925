"""A FastAPI service whose endpoints are plain functions, and what its threads do."""

import asyncio
import contextvars
import threading
import time
from contextlib import asynccontextmanager

import anyio
from asgiref.sync import sync_to_async
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException

from uvicorn import mount

held = threading.Event()
ran = []


def name():
    return threading.current_thread().name


@asynccontextmanager
async def lifespan(app):
    app.state.started = await asyncio.to_thread(name)
    yield


app = FastAPI(lifespan=lifespan)


def session():
    ran.append("taken")
    try:
        yield name()
    finally:
        ran.append("let go")


@app.get("/where")
def where(entered: str = Depends(session)):
    return {"endpoint": name(), "dependency": entered, "started": app.state.started}


@app.get("/from")
def from_thread():
    return {"loop": anyio.from_thread.run(on_loop), "thread": name()}


async def on_loop():
    return name(), await anyio.to_thread.run_sync(name)


@app.get("/hold")
def hold(entered: str = Depends(session)):
    held.wait(30)
    return {"endpoint": name()}


@app.get("/never")
def never():
    threading.Event().wait()


async def never_sensitive(scope, receive, send):
    if scope["type"] == "lifespan":
        raise RuntimeError("no lifespan")
    await sync_to_async(threading.Event().wait)()


@app.get("/release")
async def release():
    held.set()
    return {}


@app.get("/again")
async def again():
    held.clear()
    ran.clear()
    return {}


@app.get("/ran")
async def what_ran():
    return ran


@app.get("/tokens")
async def tokens():
    found = anyio.to_thread.current_default_thread_limiter().statistics()
    return [found.total_tokens, found.borrowed_tokens, found.tasks_waiting]


@app.get("/late")
def late(tasks: BackgroundTasks):
    tasks.add_task(lambda: ran.append(name()))
    return {}


@app.get("/exits")
def exits():
    raise SystemExit(3)


@app.get("/fails")
def fails():
    raise HTTPException(418)


def slow():
    time.sleep(0.2)
    return name()


reports = FastAPI()


@reports.get("/where")
def report(entered: str = Depends(slow)):
    return {"endpoint": name()}


async def channels(scope, receive, send):
    """Be a consumer of Channels 4: a socket whose synchronous code is thread-sensitive."""
    if scope["type"] == "lifespan":
        raise RuntimeError("no lifespan")
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        if event["text"] == "outside":
            # As in a loop of the application's, which no request has begun.
            found = await contextvars.Context().run(asyncio.ensure_future, sync_to_async(name)())
        else:
            found = await sync_to_async(name)()
        await send({"type": "websocket.send", "text": found})


routes = [
    mount("/reports", reports, pool="reports", threads=2),
    mount("/channels", channels),
    mount("/sensitive", never_sensitive),
    mount("/", app),
]
