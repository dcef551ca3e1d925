"""FastAPI: a page with a path parameter, a query, a response model and one dependency of each kind, and pages to load.

`page` has it as `async def` and as `def`: the first path parameter of a request says which item is meant.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, FastAPI, Response
from pydantic import BaseModel
from work import LOADS, PAGE

app = FastAPI()
plain_app = FastAPI()  # the same page with a plain endpoint, at the same path


class Item(BaseModel):
    id: int
    text: str
    wanted: str | None = None


def settings():
    """Be a plain dependency."""
    return {"text": PAGE.decode()}


async def user():
    """Be an asynchronous dependency."""
    return "ann"


def session():
    """Be a dependency that is left."""
    yield "session"


@app.get("/items/{number}", response_model=Item)
async def item(number: int, name: Annotated[str, Depends(user)], wanted: str | None = None):
    return {"id": number, "text": PAGE.decode(), "wanted": wanted}


@plain_app.get("/items/{number}", response_model=Item)
def plain_item(number: int, name: Annotated[str, Depends(user)], wanted: str | None = None):
    return {"id": number, "text": PAGE.decode(), "wanted": wanted}


@app.get("/dependencies/{number}", response_model=Item)
async def dependent(
    number: int,
    found: Annotated[dict, Depends(settings)],
    name: Annotated[str, Depends(user)],
    taken: Annotated[str, Depends(session)],
    wanted: str | None = None,
):
    return {"id": number, "text": found["text"], "wanted": wanted or name}


@plain_app.get("/dependencies/{number}", response_model=Item)
def plain_dependent(
    number: int,
    found: Annotated[dict, Depends(settings)],
    name: Annotated[str, Depends(user)],
    taken: Annotated[str, Depends(session)],
    wanted: str | None = None,
):
    return {"id": number, "text": found["text"], "wanted": wanted or name}


@app.get("/")
async def hello():
    return Response(PAGE, media_type="text/plain")


def _loaded(work):
    def endpoint():
        work()
        return Response(PAGE, media_type="text/plain")

    return endpoint


for _path, _work in LOADS.items():
    app.get(_path)(_loaded(_work))
