"""Django's tasks, for live tests: views that enqueue them, and tasks that write down what they have seen."""

import json
import os
import signal
import threading
import time
from datetime import timedelta
from functools import partial
from importlib import import_module
from importlib.util import find_spec

import django
from django.conf import settings

OPTIONS = json.loads(os.environ.get("TASK_OPTIONS", "{}"))
BACKEND = "uvicorn.layers.django_tasks.TasksBackend"

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a test",
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("SQLITE_PATH", ":memory:")}},
    TASKS={"default": {"BACKEND": BACKEND, "QUEUES": ["default", "mail"], "OPTIONS": OPTIONS}},
)
django.setup(set_prefix=False)

from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.http import HttpResponse, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402
from django.utils import timezone  # noqa: E402

from uvicorn import mount  # noqa: E402

tasks = import_module("django.tasks" if find_spec("django.tasks") else "django_tasks")
task = tasks.task


def saw(**keys):
    common = {"pid": os.getpid(), "thread": threading.current_thread().name, "at": time.time()}
    line = json.dumps({**common, **keys}) + "\n"
    with open(os.environ["SEEN"], "a") as file:
        file.write(line)


@task
def add(a, b):
    saw(sum=a + b)
    return a + b


@task
async def greet(name="nobody"):
    saw(greeted=name)
    return {"hello": name}


@task(takes_context=True)
def attempt(context, until, dies=0):
    """Wait until a file is there, so that whoever has enqueued it has its answer; and die."""
    saw(attempt=context.attempt, id=context.task_result.id)
    while not os.path.exists(until):
        threading.Event().wait(0.01)
    if context.attempt <= dies:
        os.kill(os.getpid(), signal.SIGKILL)
    return context.attempt


@task
def fail():
    saw(failing=True)
    raise LookupError("the reason")


@task
async def afail():
    saw(failing=True)
    raise LookupError("the reason on the loop")


@task
def returns_no_json():
    saw(returning=True)
    return object()


@task(queue_name="mail")
def mail(number):
    saw(mail=number)


@task
def write_down(text):
    saw(text=text)


def _slow():
    saw(slow=True)
    return "by another name"


by_another_name = task(_slow)
NAMES = globals()


def _chosen(request):
    asked = json.loads(request.body)
    using = asked.get("using", {})
    if "run_after" in using:
        using["run_after"] = timezone.now() + timedelta(seconds=using["run_after"])
    found = NAMES[asked["task"]]
    return found.using(**using) if using else found, asked.get("args", []), asked.get("kwargs", {})


def _told(error):
    return HttpResponse(f"{type(error).__name__}: {error}", status=400)


def enqueue(request):
    try:
        chosen, args, kwargs = _chosen(request)
        return HttpResponse(chosen.enqueue(*args, **kwargs).id)
    except Exception as error:
        return _told(error)


async def aenqueue(request):
    try:
        chosen, args, kwargs = _chosen(request)
        return HttpResponse((await chosen.aenqueue(*args, **kwargs)).id)
    except Exception as error:
        return _told(error)


async def enqueue_on_loop(request):
    try:
        return HttpResponse(add.enqueue(1, 2).id)
    except Exception as error:
        return _told(error)


def _shown(result):
    return JsonResponse(
        {
            "status": result.status.value,
            "value": result._return_value,
            "attempts": result.attempts,
            "errors": [[error.exception_class.__name__, error.traceback] for error in result.errors],
            "finished": result.is_finished,
            "started": str(result.started_at),
            "priority": result.task.priority,
            "queue": result.task.queue_name,
            "name": result.task.name,
        }
    )


def result(request):
    try:
        return _shown(tasks.default_task_backend.get_result(request.GET["id"]))
    except Exception as error:
        return _told(error)


async def aresult(request):
    try:
        return _shown(await tasks.default_task_backend.aget_result(request.GET["id"]))
    except Exception as error:
        return _told(error)


def on_commit(request):
    try:
        with transaction.atomic():
            connection.cursor().execute("SELECT 1")
            transaction.on_commit(partial(write_down.enqueue, request.GET["text"]))
            if "fails" in request.GET:
                raise LookupError
    except LookupError:
        pass
    return HttpResponse("done")


urlpatterns = [path(name.__name__, name) for name in (enqueue, result, on_commit, aenqueue, enqueue_on_loop, aresult)]

application = get_wsgi_application()
routes = [mount("/a", get_asgi_application()), mount("/", application)]
