"""Django's tasks over background channels: `TasksBackend` sends them, and the consumers here run them.

    TASKS = {"default": {"BACKEND": "uvicorn.layers.django_tasks.TasksBackend"}}

A queue is a channel, `django.tasks.` and its name. What is sent is a record (`task_records.py`) of a result that is
READY. A worker whose Django has this backend consumes the channels of all its queues, without a route. A task that
raises has FAILED: its message is done with. One whose worker dies is delivered again where the layer does that.

With Redis the record is kept there, too (`task_results.py`), and changed as the task begins and ends. So each process
can read results, and a task that has ended is not run once more when only its acknowledgement was lost.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from datetime import datetime
from importlib import import_module
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured, SynchronousOnlyOperation
from django.utils import timezone
from django.utils.module_loading import import_string

from uvicorn.errors import ChannelLayerUnavailable
from uvicorn.layers.current import current, office_of
from uvicorn.layers.ids import PRIORITY
from uvicorn.layers.limits import TASK_CHANNELS
from uvicorn.layers.names import check_channel
from uvicorn.layers.task_records import (
    LIBRARY,
    TaskResultDoesNotExist,
    record_of,
    result_of,
    tasks,
    tasks_base,
)
from uvicorn.layers.task_results import TaskResults, keeps_results, results_of
from uvicorn.layers.task_runs import UNFINISHED_SECONDS, LoopTasks, ThreadTasks
from uvicorn.layers.urls import check_url

__all__ = ["TasksBackend", "task_channels"]

_Base: Final[Any] = import_module(f"{LIBRARY}.backends.base").BaseTaskBackend
_signals: Final[Any] = import_module(f"{LIBRARY}.signals")
_Status: Final[Any] = tasks_base.TaskResultStatus
_OPTIONS: Final = ("CHANNEL_LAYER", "RESULT_SECONDS")


class TasksBackend(_Base):  # type: ignore[misc]  # Django has no types
    """A backend for Django's `TASKS`.

    `OPTIONS`: `CHANNEL_LAYER`, the URL of the layer for programs that are no workers; `RESULT_SECONDS`, how long the
    result of a task that has ended is kept, by default a day.

    Raises: ImproperlyConfigured with one sentence for options and names of queues that cannot be.
    """

    supports_defer: ClassVar[bool] = True
    supports_async_task: ClassVar[bool] = True

    def __init__(self, alias: str, params: Mapping[str, Any]) -> None:
        super().__init__(alias, params)
        try:
            self._url, self.result_seconds = _options(params.get("OPTIONS") or {})
            self.channels = {queue: check_channel(f"{TASK_CHANNELS}{queue}") for queue in sorted(self.queues)}
            if not self.channels:
                raise ValueError("QUEUES names none: workers must know which there are")
        except (TypeError, ValueError) as error:
            raise ImproperlyConfigured(f"TASKS[{alias!r}]: {error}") from None

    @property
    def supports_get_result(self) -> bool:
        """Whether results can be had: with Redis."""
        return keeps_results(self._known_url)

    @property
    def supports_priority(self) -> bool:
        """Whether the most urgent task is run first: but for a layer of Channels 4, which knows one order only."""
        return urlsplit(self._known_url).scheme != "asgi+django"

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Send a task to a worker, at once, wherever this is called.

        Returns: its result, READY.
        Raises: InvalidTask; TypeError, ValueError for arguments that cannot be JSON; ChannelFull,
            ChannelLayerUnavailable; SynchronousOnlyOperation on an event loop, where `aenqueue` is for.
        Blocks: until the layer has taken it.
        """
        self.validate_task(task)
        _refuse_on_loop("enqueue")
        now = timezone.now()
        result = tasks_base.TaskResult(
            task=task,
            id=secrets.token_hex(16),
            status=_Status.READY,
            enqueued_at=now,
            started_at=None,
            finished_at=None,
            last_attempted_at=None,
            args=args,
            kwargs=kwargs,
            backend=self.alias,
            errors=[],
            worker_ids=[],
        )
        record, delay = record_of(result), _seconds_until(task.run_after, now)
        office = self._office
        results = results_of(office.url)
        if results is not None:
            results.save(record, delay + UNFINISHED_SECONDS)
        try:
            office.put(self.channels[task.queue_name], {**record, PRIORITY: task.priority}, True, delay)
        except Exception as error:
            if results is not None and not getattr(error, "was_sent", False):
                results.forget(result.id)
            raise
        _signals.task_enqueued.send(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> Any:
        """Return a result by its id.

        Raises: TaskResultDoesNotExist; NotImplementedError if the layer keeps none; ChannelLayerUnavailable;
            SynchronousOnlyOperation on an event loop.
        """
        results = self.results
        if results is None:
            raise NotImplementedError(f"{self._office.url or 'this layer'} keeps no results of tasks: redis:// does")
        _refuse_on_loop("get_result")
        record = results.load(result_id)
        if record is None:
            raise TaskResultDoesNotExist(result_id)
        return result_of(record)

    @property
    def results(self) -> TaskResults | None:
        """What keeps results; None if nothing does. Raises: ChannelLayerUnavailable."""
        return results_of(self._office.url)

    @property
    def _known_url(self) -> str:
        """That of the layer; "" if none is known, as while modules are imported."""
        try:
            return str(self._office.url)
        except ChannelLayerUnavailable:
            return ""

    @property
    def _office(self) -> Any:
        """A worker's own, or that of the URL. Raises: ChannelLayerUnavailable if there is neither."""
        try:
            return current()
        except ChannelLayerUnavailable:
            if self._url is None:
                raise
            return office_of(self._url)


def task_channels() -> dict[str, tuple[ThreadTasks, LoopTasks]]:
    """Return the channels of all queues in TASKS that are ours, with the consumers for threads and for the loop.

    Raises: ImproperlyConfigured for settings of ours that are wrong.
    """
    consumers = ThreadTasks(), LoopTasks()
    found: dict[str, tuple[ThreadTasks, LoopTasks]] = {}
    for alias, params in (tasks.task_backends.settings or {}).items():
        try:
            kind = import_string(params["BACKEND"])
        except (ImportError, KeyError, TypeError):
            continue  # whoever uses it is told
        if isinstance(kind, type) and issubclass(kind, TasksBackend):
            found.update(dict.fromkeys(tasks.task_backends[alias].channels.values(), consumers))
    return found


def _options(options: Mapping[str, Any]) -> tuple[str | None, float]:
    """Return the URL and the seconds. Raises: ValueError with one sentence."""
    unknown = sorted(set(options).difference(_OPTIONS))
    if unknown:
        raise ValueError(f"there is no option {unknown[0]!r}: there are {' and '.join(_OPTIONS)}")
    url, seconds = options.get("CHANNEL_LAYER"), options.get("RESULT_SECONDS", 86400)
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds < 1:
        raise ValueError(f"RESULT_SECONDS must be a number of seconds, 1 or more, not {seconds!r}")
    return None if url is None else check_url(url), float(seconds)


def _seconds_until(time: datetime | None, now: datetime) -> float:
    return 0.0 if time is None else max(0.0, (time - now).total_seconds())


def _refuse_on_loop(name: str) -> None:
    """Raise: SynchronousOnlyOperation on an event loop, which would stand still."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise SynchronousOnlyOperation(f"{name} waits for the layer, and this is an event loop: use a{name}")
