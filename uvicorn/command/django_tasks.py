"""Which channels of Django's tasks a worker consumes beside those of its routes."""

from __future__ import annotations

import sys

from uvicorn.bridge.consumer import Consumer
from uvicorn.errors import StartupError

__all__ = ["task_consumers"]

_DJANGOS_OWN = ("django.tasks.", "django_tasks.")  # these have no worker


def task_consumers() -> dict[str, tuple[Consumer, Consumer]]:
    """Return the channels of the queues whose backend is ours, each with a consumer for threads and one for the loop.

    Nothing is imported for it where no application of this worker uses Django, or its TASKS are not ours.

    Raises: StartupError with one sentence for settings of ours that are wrong.
    """
    apps = sys.modules.get("django.apps")
    if apps is None or not apps.apps.ready:
        return {}
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured

    if not settings.configured:
        return {}
    backends = [str(params.get("BACKEND")) for params in (getattr(settings, "TASKS", None) or {}).values()]
    if all(backend.startswith(_DJANGOS_OWN) for backend in backends):
        return {}
    try:
        from uvicorn.layers.django_tasks import task_channels
    except ImportError:
        return {}  # another backend for a package that is not installed: whoever uses it is told
    try:
        found = task_channels()
    except ImproperlyConfigured as error:
        raise StartupError(str(error)) from None
    made = {id(call): Consumer(call) for calls in found.values() for call in calls}
    return {channel: (made[id(plain)], made[id(on_loop)]) for channel, (plain, on_loop) in found.items()}
