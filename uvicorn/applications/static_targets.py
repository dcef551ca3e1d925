"""Which targets of a command line are folders of static files: `/static=./build/`, `/static=django:`."""

from __future__ import annotations

import os
from typing import Final

from uvicorn.applications.mistakes import Mistaken
from uvicorn.bridge.consumer import Consumer

__all__ = ["DJANGO", "is_folder", "static_of"]

DJANGO: Final = "django:"


def is_folder(target: str) -> bool:
    """Whether a target on the command line is a folder, and no "module:name".

    A bare name that may be a module's is none: nobody's source is served because a folder is called like it.
    """
    if target.startswith(("./", "../", "/", "~/")) or target.endswith("/") or target in (".", ".."):
        return True
    if ":" in target or not os.path.isdir(target) or os.path.exists(f"{target}.py"):
        return False
    try:
        return not any(name.endswith(".py") for name in os.listdir(target))
    except OSError:
        return False


def static_of(target: str) -> Consumer | Mistaken:
    """Return the application for a target on the command line, which is a folder or DJANGO."""
    from uvicorn.applications.static import static  # memory and time that other servers need not spend

    return static(django=True) if target == DJANGO else static(os.path.expanduser(target))
