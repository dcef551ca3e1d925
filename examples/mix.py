"""A Flask shop, a FastAPI service and a message consumer under one command.

    pip install flask fastapi python-multipart
    uvicorn examples.mix:routes --threads 8

    curl http://127.0.0.1:8000/                      Flask, in a thread
    curl http://127.0.0.1:8000/api/items/7           FastAPI, on the event loop
    curl http://127.0.0.1:8000/ping                  a consumer, on the event loop

The same without this list: uvicorn /=examples.mix:shop /api=examples.mix:service /ping=examples.mix:ping
"""

import hashlib
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException, Request, UploadFile
from fastapi.responses import StreamingResponse
from flask import Flask, Response, abort, make_response, redirect, request, session, url_for

from uvicorn import mount, route

# ---- Flask: WSGI ----

shop = Flask(__name__)
shop.secret_key = "an example has no secrets"


@shop.get("/")
def index():
    """Count visits in a signed cookie."""
    session["visits"] = session.get("visits", 0) + 1
    return f"visit {session['visits']} at {url_for('index')}"


@shop.get("/old")
def old():
    """Redirect, below whatever prefix the shop is mounted."""
    return redirect(url_for("index"))


@shop.post("/upload")
def upload():
    """Hash an uploaded file."""
    file = request.files["file"]
    digest = hashlib.sha256()
    while chunk := file.stream.read(1 << 16):
        digest.update(chunk)
    return {"name": file.filename, "sha256": digest.hexdigest()}


@shop.get("/rows.csv")
def rows():
    """Send 100,000 rows while they are made."""
    lines = (f"{start},{start * start}\n" for start in range(100_000))
    return Response(lines, mimetype="text/csv")


@shop.get("/page")
def page():
    """Answer 304 to those who have it."""
    response = make_response("the same page")
    response.add_etag()
    return response.make_conditional(request)


@shop.get("/missing")
def missing():
    """Answer 404, as Flask says it."""
    abort(404)


@shop.get("/broken")
def broken():
    """Raise."""
    raise LookupError("a Flask view that raises")


# ---- FastAPI: ASGI ----


@asynccontextmanager
async def lifespan(app):
    """Make what all requests share."""
    yield {"stock": {number: f"item {number}" for number in range(100)}}


service = FastAPI(lifespan=lifespan)


@service.get("/items/{number}")
async def item(number: int, request: Request):
    """Look an item up in the state of the lifespan."""
    if number not in request.state.stock:
        raise HTTPException(404, "no such item")
    return {"name": request.state.stock[number], "url": str(request.url_for("item", number=number).path)}


@service.get("/blocking")
def blocking():
    """Run in a thread of FastAPI's own: a plain function there is not a consumer."""
    return {"kind": "plain function"}


@service.post("/upload")
async def upload_async(file: UploadFile):
    """Hash an uploaded file."""
    digest = hashlib.sha256()
    while chunk := await file.read(1 << 16):
        digest.update(chunk)
    return {"name": file.filename, "sha256": digest.hexdigest()}


@service.get("/rows.csv")
async def rows_async():
    """Send 100,000 rows while they are made."""

    async def lines():
        for start in range(100_000):
            yield f"{start},{start * start}\n"

    return StreamingResponse(lines(), media_type="text/csv")


@service.get("/broken")
async def broken_async():
    """Raise."""
    raise LookupError("a FastAPI view that raises")


# ---- a message consumer ----


async def ping(message):
    """Answer at once, whatever the others do."""
    message["reply_channel"].send({"status": 200, "content": b"pong\n"})


routes = [
    route("http.request", ping, path="^/ping$"),
    mount("/api", service),
    mount("/shop", shop, pool="shop", threads=2),
    mount("/", shop),
]
