"""`python -m uvicorn.channels1 manage.py migrate`: runs a program in which `import channels` finds this package.

Or a module, `python -m uvicorn.channels1 -m pytest`. So no file of a project need call `install`.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Sequence

from uvicorn.channels1.alias import install
from uvicorn.errors import StartupError

__all__ = ["main"]

_USAGE = "usage: python -m uvicorn.channels1 [-m] PROGRAM [ARGUMENT ...]"


def main(words: Sequence[str]) -> None:
    """Run a program with its arguments, as Python itself does. Raises: what it raises; SystemExit."""
    is_module = words[:1] == ["-m"]
    program, *arguments = words[is_module:] or [""]
    if not program or (program.startswith("-") and not is_module):
        sys.exit(_USAGE)
    try:
        install()
    except StartupError as error:
        sys.exit(str(error))
    sys.argv[:] = [program, *arguments]
    if is_module:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = os.path.dirname(os.path.abspath(program))
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
