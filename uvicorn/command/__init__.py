"""Gunicorn's side and the command: the worker, settings, reports."""
