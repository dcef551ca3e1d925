"""Import an application by its name, as other packages do it."""

from __future__ import annotations

from typing import Any

from gunicorn.errors import AppImportError

from uvicorn.applications.loading import load_application

__all__ = ["ImportFromStringError", "import_from_string"]


class ImportFromStringError(Exception):
    """The name is wrong; the text says how."""


def import_from_string(import_str: Any) -> Any:
    """Return what "module:name" names; what is no str is returned as it is.

    Raises: ImportFromStringError if there is no such thing; what the module's own import raises.
    """
    if not isinstance(import_str, str):
        return import_str
    module, _, name = import_str.partition(":")
    if not module or not name:
        raise ImportFromStringError(f'Import string "{import_str}" must be in format "<module>:<attribute>".')
    try:
        return load_application(import_str)
    except AppImportError as error:
        raise ImportFromStringError(str(error)) from None
