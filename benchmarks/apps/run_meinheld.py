"""Start meinheld, with kept connections and without its access log. `python run_meinheld.py PAGE PORT`"""

from __future__ import annotations

import sys

import wsgi
from meinheld import server

server.set_keepalive(75)
server.set_access_logger(None)
server.set_backlog(2048)
server.listen(("127.0.0.1", int(sys.argv[2])))
server.run(getattr(wsgi, sys.argv[1]))
