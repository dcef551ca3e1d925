"""Gunicorn's side and the command: the worker, settings, reports."""

from uvicorn.command.lighter import import_gunicorn

import_gunicorn()  # before any module of this room does
