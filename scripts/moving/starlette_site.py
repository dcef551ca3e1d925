"""What Starlette's documentation shows: routes of both kinds, a socket, a stream, background tasks, a lifespan."""

import contextlib
import sys

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute

import uvicorn

seen = []


@contextlib.asynccontextmanager
async def lifespan(app):
    seen.append("started")
    yield {"greeting": "hello"}
    print("lifespan is over", flush=True)


async def homepage(request):
    return JSONResponse({"hello": request.state.greeting, "seen": seen})


def user(request):
    task = BackgroundTask(seen.append, request.path_params["name"])
    return PlainTextResponse(f"Hello, {request.path_params['name']}!", background=task)


async def numbers():
    for number in range(1, 5):
        yield f"{number} "


async def stream(request):
    return StreamingResponse(numbers(), media_type="text/plain")


async def echo(websocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


routes = [
    Route("/", homepage),
    Route("/user/{name}", user),
    Mount("/more", routes=[Route("/stream", stream)]),
    WebSocketRoute("/ws", echo),
]
app = Starlette(routes=routes, lifespan=lifespan)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]))
