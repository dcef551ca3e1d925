"""`python -m uvicorn`: the same as the `uvicorn` command."""

import os
import sys

if not __package__:  # re-executed by Gunicorn (USR2) as a script: the package's own folder must not be searched
    sys.path[:] = [path for path in sys.path if path != os.path.dirname(os.path.abspath(__file__))]

from uvicorn.command.cli import main

if __name__ == "__main__":
    main()
