"""Our worker under the name that existing command lines use: `gunicorn -k uvicorn.workers.UvicornWorker`."""

from uvicorn.command.worker import ASGIWorker

__all__ = ["UvicornWorker"]

UvicornWorker = ASGIWorker
