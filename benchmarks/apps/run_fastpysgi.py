"""Start fastpysgi: it has no command that takes a port. `python run_fastpysgi.py PAGE PORT`"""

from __future__ import annotations

import sys

import fastpysgi
import wsgi

fastpysgi.run(getattr(wsgi, sys.argv[1]), "127.0.0.1", int(sys.argv[2]))
