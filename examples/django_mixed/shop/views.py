"""Classic views, which run in threads, and one asynchronous view."""

import asyncio
import hashlib
import threading

from django import forms
from django.contrib.auth.decorators import login_required
from django.db import connection
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.template import engines
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import condition

from examples.django_mixed.shop.models import Note

ROWS = 100_000

PAGE = """<!doctype html>
<form method="post">{% csrf_token %}{{ form }}<button>Add</button></form>
<ul>{% for note in notes %}<li>{{ note.text }}</li>{% endfor %}</ul>
<p>You have been here {{ visits }} times.</p>
"""


class NoteForm(forms.ModelForm):
    """A form for one note."""

    class Meta:
        model = Note
        fields = ("text",)


class UploadForm(forms.Form):
    """A form for one file."""

    file = forms.FileField()


def index(request):
    """Show the notes and a form; count visits in the session."""
    form = NoteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        return redirect(request.path)
    visits = request.session["visits"] = request.session.get("visits", 0) + 1
    context = {"form": form, "notes": Note.objects.all(), "visits": visits}
    return HttpResponse(engines["django"].from_string(PAGE).render(context, request))


@csrf_exempt
def upload(request):
    """Hash an uploaded file of any size: Django keeps a large one in a temporary file."""
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return JsonResponse(form.errors, status=400)
    file = form.cleaned_data["file"]
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    return JsonResponse({"name": file.name, "size": file.size, "sha256": digest.hexdigest()})


def rows(request):
    """Send a CSV of 100,000 rows while it is made; the thread waits while the client is behind."""

    def lines():
        yield "number,square\r\n"
        for start in range(0, ROWS, 500):
            yield "".join(f"{number},{number * number}\r\n" for number in range(start, start + 500))

    return StreamingHttpResponse(lines(), content_type="text/csv")


def source(request):
    """Send a file."""
    return FileResponse(open(__file__, "rb"), filename="views.py")


@condition(etag_func=lambda request: '"one"')
def conditional(request):
    """Answer 304 to those who have it."""
    return HttpResponse("content")


@login_required
def whoami(request):
    """Tell who is logged in."""
    return HttpResponse(request.user.get_username())


def where(request):
    """Tell the thread, the mount point, and the database's name for the connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()" if connection.vendor == "postgresql" else "SELECT 1")
        backend = cursor.fetchone()[0]
    facts = {"thread": threading.current_thread().name, "prefix": request.META["SCRIPT_NAME"], "backend": backend}
    return JsonResponse(facts)


def slow_query(request):
    """Hold a connection for a moment, as a report does."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_sleep(0.05)")
    return where(request)


def broken(request):
    """Raise."""
    raise LookupError("a view that raises")


async def count(request):
    """Count the notes, asynchronously: the ORM's own thread is one of the pool."""
    await asyncio.sleep(0)
    return JsonResponse({"notes": await Note.objects.acount(), "thread": threading.current_thread().name})
