"""Files, folders and levels that somebody has named: one sentence for each that is not there."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterable
from typing import Any, Final

from uvicorn.command.log_setup import LOG_LEVELS, WrongValue, read_config

__all__ = ["WrongValue", "check_file", "check_given", "missing_folders"]

_FILES: Final = ("certfile", "keyfile", "ca_certs")


def check_file(setting: str, path: str | os.PathLike[str]) -> None:
    """Look whether a file can be read.

    Args:
        setting: how messages call what has named it.

    Raises: WrongValue.
    """
    why = _why_unreadable(os.path.abspath(path))
    if why:
        raise WrongValue(f"{setting}: {why}")


def missing_folders(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Return a sentence for each folder that is not there."""
    missing = [os.path.abspath(path) for path in paths if not os.path.isdir(path)]
    return [f"reload_dirs: there is no folder {path!r}: create it, or name another one" for path in missing]


def check_given(cfg: Any, log_config: str | None) -> None:
    """Look whether all is there that Gunicorn's and our settings name. Runs on: the master, before it listens, in
    the folder of `chdir`.

    Args:
        log_config: a configuration of `logging`, Gunicorn's or for our loggers; None for none.

    Raises: WrongValue.
    """
    if str(cfg.loglevel).lower() not in LOG_LEVELS:
        raise WrongValue(f"loglevel: it must be one of {', '.join(LOG_LEVELS)}, not {cfg.loglevel!r}")
    for setting in _FILES:
        path = cfg.settings[setting].get()
        if path:
            check_file(setting, path)
    if cfg.reload:
        for sentence in missing_folders(cfg.reload_dirs):
            raise WrongValue(sentence)
    if log_config and not log_config.startswith("python:"):
        check_file("log_config", log_config)
        read_config(log_config)


def _why_unreadable(path: str) -> str:
    try:
        with open(path, "rb"):
            return ""
    except FileNotFoundError:
        return f"there is no file {path!r}: create it, or name another one"
    except IsADirectoryError:
        return f"{path!r} is a folder: name a file"
    except PermissionError:
        return f"the user {_user()} may not read {path!r}: allow it, or name another file"
    except OSError as error:
        return f"{path!r} cannot be read: {error.strerror}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
