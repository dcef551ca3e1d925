"""Django under ASGI: an asynchronous view with a query, the same one synchronous, and synchronous ones that load it."""

from __future__ import annotations

import asyncio

import django_page
from django.http import HttpResponse
from django.urls import path
from work import LOADS, PAGE, compute


async def hello(request):
    return HttpResponse(PAGE, content_type="text/plain")


async def page(request):
    found = await django_page.Page.objects.aget(pk=1)
    return HttpResponse(found.text, content_type="text/plain")


async def to_thread(request):
    await asyncio.to_thread(compute, 0.005)
    return HttpResponse(PAGE, content_type="text/plain")


def _loaded(work):
    def view(request):
        work()
        return HttpResponse(PAGE, content_type="text/plain")

    return view


django_page.urlpatterns[:] = [
    path("", hello),
    path("page", page),
    path("page-sync", django_page.page),
    path("to-thread", to_thread),
    *(path(name.lstrip("/"), _loaded(work)) for name, work in LOADS.items()),
]
asgi = django_page.asgi
