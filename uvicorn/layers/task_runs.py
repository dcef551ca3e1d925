"""Runs of Django's tasks in a worker: one of a plain function in a thread, one of a coroutine function on the loop.

What a run does beside its function, it does in a thread: it writes to the database's connections and to Redis.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from traceback import format_exception
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.utils import timezone

from uvicorn.errors import ChannelLayerUnavailable, ConsumeLater, ServerStopping, TaskFailed
from uvicorn.layers.ids import PRIORITY
from uvicorn.layers.task_records import LIBRARY, as_json, record_of, result_of, set_on, tasks, tasks_base

__all__ = ["UNFINISHED_SECONDS", "LoopTasks", "ThreadTasks"]

UNFINISHED_SECONDS: Final = 30 * 86400.0  # that a record is kept after its task could have run; arbitrary
_ADDED: Final = ("channel", "message_id", "request_id", "given_up", PRIORITY)  # to what was sent
_signals: Final[Any] = import_module(f"{LIBRARY}.signals")
_Status: Final[Any] = tasks_base.TaskResultStatus
_log: Final = logging.getLogger("django.tasks")


class ThreadTasks:
    """The consumer of tasks that are plain functions. What they send to groups and channels goes out at once."""

    sends_at_once: Final = True
    hears_given_up: Final = True

    def __call__(self, message: Any) -> None:
        """Run a task. Raises: TaskFailed if it raises; ConsumeLater if it does."""
        if "given_up" in message:
            _given_up(message)
            return
        close_old_connections()
        try:
            run = _begun(message)
            if run is not None:
                try:
                    run.has_returned(run.task.call(*run.args, **run.result.kwargs))
                except BaseException as error:
                    run.has_raised(error)
        finally:
            close_old_connections()


class LoopTasks:
    """The consumer of tasks that are coroutine functions."""

    hears_given_up: Final = True

    async def __call__(self, message: Any) -> None:
        """Run a task. Raises: as for a thread; CancelledError at the end of the worker: it is for another one."""
        if "given_up" in message:
            await sync_to_async(_given_up)(message)
            return
        await sync_to_async(close_old_connections)()
        try:
            run = await sync_to_async(_begun)(message)
            if run is not None:
                try:
                    value = await run.task.acall(*run.args, **run.result.kwargs)
                    await sync_to_async(run.has_returned)(value)
                except asyncio.CancelledError:
                    raise
                except BaseException as error:
                    await sync_to_async(run.has_raised)(error)
        finally:
            await sync_to_async(close_old_connections)()


class _Run:
    """One run of a task. In a thread."""

    def __init__(self, backend: Any, result: Any) -> None:
        self.backend = backend
        self.result = result
        self.task = result.task

    @property
    def args(self) -> list[Any]:
        """What the function is called with."""
        context = [tasks_base.TaskContext(task_result=self.result)] if self.task.takes_context else []
        return [*context, *self.result.args]

    def begin(self) -> None:
        """Say that it is running."""
        now = timezone.now()
        started_at = self.result.started_at or now
        set_on(self.result, status=_Status.RUNNING, started_at=started_at, last_attempted_at=now)
        self.result.worker_ids.append(f"{_host()}:{os.getpid()}")
        self._save(UNFINISHED_SECONDS)
        _signals.task_started.send(sender=type(self.backend), task_result=self.result)

    def has_returned(self, value: Any) -> None:
        """Keep what it has returned. Raises: TypeError, ValueError for what cannot be JSON."""
        set_on(self.result, _return_value=as_json(value))
        self._end(_Status.SUCCESSFUL)

    def has_raised(self, error: BaseException) -> None:
        """Keep what it has raised. Raises: what is to become of its message."""
        if isinstance(error, (ConsumeLater, ServerStopping, KeyboardInterrupt)) and not self.result.is_finished:
            set_on(self.result, status=_Status.READY)
            self._save(UNFINISHED_SECONDS)
            raise error
        if not self.result.is_finished:  # else it was a receiver of the signal
            self.result.errors.append(_error(error))
            self._end(_Status.FAILED)
        raise TaskFailed(f"the task {self.task.name} ({self.result.id}) has failed") from error

    def _end(self, status: Any) -> None:
        set_on(self.result, status=status, finished_at=timezone.now())
        self._save(self.backend.result_seconds)
        _signals.task_finished.send(type(self.backend), task_result=self.result)

    def _save(self, seconds: float) -> None:
        results = self.backend.results
        if results is not None:
            try:
                results.save(record_of(self.result), seconds)
            except ChannelLayerUnavailable as error:  # the task has run: to run it again would be worse
                _log.error("That the task %s is %s is not kept: %s", self.result.id, self.result.status, error)


def _begun(message: Mapping[str, Any]) -> _Run | None:
    """Begin to run the task of a message; return None if it has ended already."""
    backend = tasks.task_backends[message["backend"]]
    record = _record(backend, message)
    if record is None:
        return None  # and only its acknowledgement was lost
    try:
        run = _Run(backend, result_of(record))
        run.begin()
    except Exception as error:
        _fail(backend, record, _error(error))
        raise TaskFailed(f"the task {record['task']} ({record['id']}) cannot be run") from error
    return run


def _given_up(message: Mapping[str, Any]) -> None:
    """Keep that a task has failed because the layer delivers it no more: its workers died, again and again."""
    backend = tasks.task_backends[message["backend"]]
    record = _record(backend, message)
    if record is not None:
        path = f"{TaskFailed.__module__}.{TaskFailed.__qualname__}"
        _fail(backend, record, tasks_base.TaskError(exception_class_path=path, traceback=message["given_up"]))


def _record(backend: Any, message: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what is known of the task of a message; None if it has ended."""
    results = backend.results
    record: dict[str, Any] | None = results.load(message["id"]) if results is not None else None
    if record is None:
        record = {key: value for key, value in message.items() if key not in _ADDED}
    return None if record["status"] in (_Status.SUCCESSFUL.value, _Status.FAILED.value) else record


def _fail(backend: Any, record: dict[str, Any], error: Any) -> None:
    record["errors"] = [*record["errors"], [error.exception_class_path, error.traceback]]
    record["status"], record["finished_at"] = _Status.FAILED.value, timezone.now().isoformat()
    if backend.results is not None:
        backend.results.save(record, backend.result_seconds)


def _error(error: BaseException) -> Any:
    path = f"{type(error).__module__}.{type(error).__qualname__}"
    return tasks_base.TaskError(exception_class_path=path, traceback="".join(format_exception(error)))


@cache
def _host() -> str:
    return socket.gethostname()[:40]
