"""A task of Django as a record: what is sent to a worker, and what is kept of its result. Imports Django.

Where Django has tasks itself (6.0) it is that, and else its backport, the package `django-tasks`: both have the same
classes. Arguments and return values are JSON, as the interface says, and times ISO 8601.
"""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec
from inspect import iscoroutinefunction
from typing import Any, Final

from django.utils.module_loading import import_string

__all__ = ["LIBRARY", "TaskResultDoesNotExist", "as_json", "record_of", "result_of", "set_on", "tasks", "tasks_base"]

LIBRARY: Final = "django.tasks" if find_spec("django.tasks") is not None else "django_tasks"
tasks: Final[Any] = import_module(LIBRARY)
tasks_base: Final[Any] = import_module(f"{LIBRARY}.base")
TaskResultDoesNotExist: Final[Any] = import_module(f"{LIBRARY}.exceptions").TaskResultDoesNotExist
_normalized: Final[Any] = import_module(
    "django.utils.json" if LIBRARY == "django.tasks" else f"{LIBRARY}.utils"
).normalize_json

_TIMES: Final = ("enqueued_at", "started_at", "finished_at", "last_attempted_at")


def as_json(value: Any) -> Any:
    """Return a value as it comes back from JSON.

    Raises: TypeError, ValueError for what cannot be JSON.
    """
    return json.loads(json.dumps(_normalized(value)))


def record_of(result: Any) -> dict[str, Any]:
    """Return the record of a result.

    Raises: TypeError, ValueError for arguments that cannot be JSON.
    """
    task = result.task
    return {
        "id": result.id,
        "task": f"{task.func.__module__}.{task.func.__qualname__}",
        "backend": result.backend,
        "queue": task.queue_name,
        "priority": task.priority,
        "run_after": _text(task.run_after),
        "takes_context": task.takes_context,
        "on_loop": iscoroutinefunction(task.func),
        "args": json.dumps(result.args),
        "kwargs": json.dumps(result.kwargs),
        "status": result.status.value,
        "errors": [[error.exception_class_path, error.traceback] for error in result.errors],
        "worker_ids": list(result.worker_ids),
        "return_value": json.dumps(result._return_value),
        **{name: _text(getattr(result, name)) for name in _TIMES},
    }


def result_of(record: dict[str, Any]) -> Any:
    """Return the result that a record is of.

    Raises: ImportError if its function is not there any more; what the backend says of its task.
    """
    result = tasks_base.TaskResult(
        task=_task_of(record),
        id=record["id"],
        status=tasks_base.TaskResultStatus(record["status"]),
        args=json.loads(record["args"]),
        kwargs=json.loads(record["kwargs"]),
        backend=record["backend"],
        errors=[tasks_base.TaskError(exception_class_path=path, traceback=text) for path, text in record["errors"]],
        worker_ids=list(record["worker_ids"]),
        **{name: _time(record[name]) for name in _TIMES},
    )
    set_on(result, _return_value=json.loads(record["return_value"]))
    return result


def set_on(result: Any, **attributes: Any) -> None:
    """Change a result, which is frozen for all but its backend."""
    for name, value in attributes.items():
        object.__setattr__(result, name, value)


def _task_of(record: dict[str, Any]) -> Any:
    found: Any = import_string(record["task"])
    changes = {
        "priority": record["priority"],
        "queue_name": record["queue"],
        "run_after": _time(record["run_after"]),
        "backend": record["backend"],
    }
    if dataclasses.is_dataclass(found) and not isinstance(found, type):
        return dataclasses.replace(found, **changes)
    # `slow_one = task(function)`: the module has the function by its own name
    kind = tasks.task_backends[record["backend"]].task_class
    return kind(func=found, takes_context=record["takes_context"], **changes)


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
