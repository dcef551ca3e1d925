"""A Django view that reads one row: as a WSGI and as an ASGI application."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import django
from django.conf import settings
from work import PAGE

_FOLDER = tempfile.TemporaryDirectory()  # removed when the process ends

settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(Path(_FOLDER.name) / "pages.sqlite"),
            "CONN_MAX_AGE": None,
        }
    },
    ROOT_URLCONF=__name__,
    SECRET_KEY="benchmark",
)
django.setup()

from django.core.asgi import get_asgi_application  # noqa: E402 (they want the settings)
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, models  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402


class Page(models.Model):
    text = models.TextField()

    class Meta:
        app_label = "pages"


def page(request):
    return HttpResponse(Page.objects.get(pk=1).text, content_type="text/plain")


urlpatterns = [path("", page)]


def _fill():
    with connection.schema_editor() as editor:
        editor.create_model(Page)
    Page.objects.create(pk=1, text=PAGE.decode())
    connection.close()


os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # a server may import this on its loop
_fill()
del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]

wsgi = get_wsgi_application()
asgi = get_asgi_application()
