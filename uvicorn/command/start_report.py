"""What a server says when it has started: what is served, where, with what, and what is unusual."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from uvicorn import __version__, variant
from uvicorn.applications.contents import Served, served
from uvicorn.applications.router import Router, SingleConsumer
from uvicorn.command.blocked import error_stream
from uvicorn.command.log_presets import wants_paint
from uvicorn.command.settings import Settings
from uvicorn.command.unusual import unusual

__all__ = ["Start", "quiet_about_no_address", "report_first", "report_next", "start_lines", "start_of"]

_MOST_MOUNTS: Final = 12  # arbitrary: about as many as one looks at
_BOLD: Final = "1"
_CYAN: Final = "36"
_YELLOW: Final = "33"


class Start(NamedTuple):
    """The numbers of a start.

    Attributes:
        threads: of the pool without a name, of each worker.
        queue: requests that may wait for them.
        variants: of the package, and of HTTP/2.
        unusual: a few words each.
        is_background: it serves no HTTP (`only_channels`).
    """

    addresses: Sequence[str]
    workers: int
    threads: int
    queue: int
    variants: str
    unusual: Sequence[str] = ()
    is_background: bool = False


def _variants(http2_name: str) -> str:
    """Return which package serves, and what HTTP/2; "" if that is not served."""
    return variant.described() + (f", HTTP/2 by {http2_name}" if http2_name else "")


def start_of(
    addresses: Sequence[str], cfg: Any, settings: Settings, workers: int, threads: int, http2_name: str
) -> Start:
    """Return the numbers of a server.

    Args:
        cfg: Gunicorn's.
    """
    return Start(
        addresses,
        workers,
        threads,
        settings.queue_size_of(threads),
        _variants(http2_name),
        unusual(cfg, settings),
        is_background=bool(settings.layer.only),
    )


def start_lines(start: Start, contents: Sequence[Served], paint: bool = False) -> list[str]:
    """Return the lines.

    Args:
        contents: what `applications.contents.served` has found.
        paint: with colours, for a terminal.
    """

    def painted(text: str, code: str) -> str:
        return f"\033[{code}m{text}\033[0m" if paint else text

    if start.is_background:
        lines = [f"Consuming channels with uvicorn {__version__}, {start.variants}, at no address"]
        contents = ()  # nobody can ask for them
    else:
        where = painted(", ".join(start.addresses), _BOLD)
        lines = [f"Serving with uvicorn {__version__}, {start.variants}, at {where}"]
    shown = contents if len(contents) <= _MOST_MOUNTS else contents[: _MOST_MOUNTS - 1]
    width = max((len(each.prefix) for each in shown), default=0)
    lines += [f"  {painted(each.prefix.ljust(width), _CYAN)}  {each.what}, {each.where}" for each in shown]
    if len(shown) < len(contents):
        lines.append(f"  and {len(contents) - len(shown)} more mounts")
    each_has = "" if start.workers == 1 else "each "
    queue = "" if start.is_background else f", for which {_number(start.queue, 'request')} may wait"
    lines.append(f"{_number(start.workers, 'worker')}, {each_has}with {_number(start.threads, 'thread')}{queue}")
    if start.unusual:
        lines.append(painted(f"Unusual: {'; '.join(start.unusual)}", _YELLOW))
    return lines


def report_first(log: Any, start: Start, application: Router | SingleConsumer, settings: Settings) -> None:
    """Write the lines into Gunicorn's log: the first worker has started."""
    for line in start_lines(start, served(application), wants_paint(error_stream(log), settings)):
        log.info("%s", line)


def report_next(log: Any, pid: int, http2_name: str) -> None:
    """Write into Gunicorn's log that one more worker has started."""
    log.info("Serving with uvicorn %s, %s (pid: %s)", __version__, _variants(http2_name), pid)


@contextlib.contextmanager
def quiet_about_no_address(log: Any) -> Iterator[None]:
    """Keep back the line in which Gunicorn's master says where it listens, if that is nowhere."""
    logger = getattr(log, "error_log", None)  # another logger class may have none
    if logger is None:
        yield
        return
    logger.addFilter(_has_address)
    try:
        yield
    finally:
        logger.removeFilter(_has_address)


def _has_address(record: logging.LogRecord) -> bool:
    is_about_it = str(record.msg).startswith("Listening at: ")
    return not (is_about_it and isinstance(record.args, tuple) and record.args[:1] == ("",))


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
