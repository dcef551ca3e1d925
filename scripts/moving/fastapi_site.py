"""A FastAPI application, for `fastapi run` and `fastapi dev`."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def answer() -> dict[str, str]:
    return {"answer": "first"}
