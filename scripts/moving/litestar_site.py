"""A Litestar application, for `litestar run`."""

from litestar import Litestar, get


@get("/")
async def answer() -> dict[str, str]:
    return {"answer": "litestar"}


@get("/sync", sync_to_thread=True)
def in_a_thread() -> str:
    return "from a thread"


app = Litestar([answer, in_a_thread])
