"""Start bjoern: it has no command of its own. `python run_bjoern.py PAGE PORT`"""

from __future__ import annotations

import sys

import bjoern
import wsgi

bjoern.run(getattr(wsgi, sys.argv[1]), "127.0.0.1", int(sys.argv[2]))
