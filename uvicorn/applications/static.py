"""`static`: a folder of files as an application.

    mount("/static", static("build/"))
    mount("/static", static(django=True))

Or on the command line: `uvicorn /=app:app /static=./build/`, `uvicorn /=site.wsgi:application /static=django:`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from uvicorn.applications.folder import Folder
from uvicorn.applications.mistakes import Mistaken, Mistakes
from uvicorn.applications.static_entries import Reader
from uvicorn.applications.static_files import StaticFiles
from uvicorn.applications.static_names import immutable_by, is_plain
from uvicorn.bridge.consumer import Consumer
from uvicorn.errors import ConsumerError, ReplyError
from uvicorn.wire.media_types import MediaTypes
from uvicorn.wire.reply import encode_fields

__all__ = ["static"]

_MEMORY: Final = 16 * 1024 * 1024  # bytes; arbitrary: the files of most sites, compressed and not


def static(
    folder: str | os.PathLike[str] | None = None,
    *,
    django: bool = False,
    index: str | None = None,
    fallback: str | None = None,
    cache_control: str | None = "no-cache",
    immutable: bool | str | re.Pattern[str] = True,
    types: Mapping[str, str] | None = None,
    headers: Iterable[tuple[str, str]] = (),
    memory: int = _MEMORY,
) -> Consumer | Mistaken:
    """Make an application of a folder of files, for `mount`, or to be served alone.

    Args:
        folder: its path; a relative one is below the folder in which the server was started.
        django: the folder is Django's STATIC_ROOT, and the names in its manifest are immutable, too.
        index: the name of the file that is sent for a folder; None for 404. A folder that has it is redirected to the
            path with "/" at its end.
        fallback: the file that is sent to browsers that go to an address which is not there, with 200: the page of a
            single-page application. None for 404.
        cache_control: the value of that field; None for none. "no-cache" has browsers ask whether theirs is right.
        immutable: which files never change under their name, so that browsers never ask again: True for names that
            have a hash in hexadecimal digits, False for none, or a regular expression that is searched for in the path
            below the folder.
        types: end of a name, with its dot -> media type, where ours are not right.
        headers: further fields of each file, as (name, value).
        memory: bytes of small files (up to 64 KiB) that each worker keeps.

    Returns: a consumer; or what knows the mistakes, which are told when it is served, with all others.
    """
    wrong = Mistakes()
    made: Consumer | None = None
    with wrong:
        known: frozenset[str] = frozenset()
        if django:
            if folder is not None:
                raise ConsumerError("static: Django's settings say which folder it is: give none, or no django=True")
            folder, known = _django_files()
        if folder is None:
            raise ConsumerError("static: say which folder: static('build/')")
        path = _checked_folder(folder)
        for what, name in (("index", index), ("fallback", fallback)):
            if name is not None and not (isinstance(name, str) and name and is_plain(name) and not name.endswith("/")):
                raise ConsumerError(f"static: {what} must be the name of a file in the folder, not {name!r}")
        if index is not None and "/" in index:
            raise ConsumerError(f"static: index must be a name without '/', not {index!r}")
        if isinstance(memory, bool) or not isinstance(memory, int) or memory < 0:
            raise ConsumerError(f"static: memory must be a number of bytes, 0 or more, not {memory!r}")
        reader = Reader(
            Folder(path),
            index,
            fallback,
            _media_types(types),
            _immutable(immutable, known),
            _value("cache_control", cache_control),
            _fields(headers),
        )
        shown = _shown(path)
        made = Consumer(StaticFiles(reader, memory, shown)).replaced(name=f"files of {shown}")
    return made if made is not None else wrong.entry()


def _checked_folder(folder: Any) -> str:
    try:
        path: str = os.path.abspath(os.fspath(folder))
    except TypeError:
        path = ""
    if not path or isinstance(path, bytes):
        raise ConsumerError(f"static: the folder must be a path, not {folder!r}")
    if not os.path.isdir(path):
        what = "is no folder" if os.path.exists(path) else "is not there"
        raise ConsumerError(f"static: {path} {what}")
    return path


def _django_files() -> tuple[str, frozenset[str]]:
    """Return STATIC_ROOT, and the names that its manifest knows. Raises: ConsumerError."""
    try:
        from django.conf import settings
        from django.contrib.staticfiles.storage import staticfiles_storage
        from django.core.exceptions import ImproperlyConfigured
    except ImportError:
        raise ConsumerError("static: Django is not installed") from None
    try:
        root: Any = settings.STATIC_ROOT
        if not root:
            raise ConsumerError("static: Django's STATIC_ROOT is not set: it is where collectstatic puts the files")
        if not os.path.isdir(root):
            raise ConsumerError(f"static: Django's STATIC_ROOT, {root}, is not there: run manage.py collectstatic")
        return os.fspath(root), frozenset(getattr(staticfiles_storage, "hashed_files", {}).values())
    except ImproperlyConfigured as error:
        raise ConsumerError(f"static: {error}") from None
    except ValueError as error:  # of a manifest that is none
        raise ConsumerError(f"static: Django's static files: {error}") from None


def _media_types(types: Any) -> MediaTypes:
    given = dict(types or {})
    for end, kind in given.items():
        if not (isinstance(end, str) and end.startswith(".") and isinstance(kind, str)):
            raise ConsumerError(f"static: types must be such as {{'.js': 'text/javascript'}}, not {end!r}: {kind!r}")
        _fields([("content-type", kind)])
    return MediaTypes({end.lower(): kind for end, kind in given.items()})


def _immutable(given: Any, known: frozenset[str]) -> Any:
    try:
        return immutable_by(given, known)
    except (re.error, TypeError) as error:
        raise ConsumerError(f"static: immutable must be True, False or a regular expression: {error}") from None


def _value(what: str, value: str | None) -> bytes | None:
    if value is None:
        return None
    return _fields([(what, value)])[0][1]


def _fields(given: Any) -> list[tuple[bytes, bytes]]:
    """Check fields and return them as bytes. Raises: ConsumerError."""
    try:
        pairs = [*given.items()] if isinstance(given, Mapping) else [*given]
        found = encode_fields(pairs)
    except (ReplyError, TypeError) as error:
        raise ConsumerError(f"static: {error}") from None
    if not found.is_plain:
        raise ConsumerError("static: fields about the connection or the length are the server's")
    return [(_bytes(name).lower(), _bytes(value)) for name, value in pairs]


def _bytes(text: Any) -> bytes:
    return text.encode("latin-1") if isinstance(text, str) else bytes(text)


def _shown(path: str) -> str:
    """Return a path as one would write it: short, if it is below where we are."""
    here = os.path.join(os.getcwd(), "")
    return f"./{path.removeprefix(here)}" if path.startswith(here) else path
