"""Real HTTP clients for addresses without TLS.

An httpx client reads the certificates of all authorities when it is made, unless it is told not to verify: that takes
more processor time than twenty requests, and many tests make a client for each request.
"""

import httpx
from patience import PATIENCE_SECONDS

PLAIN = {"trust_env": False, "verify": False, "timeout": PATIENCE_SECONDS}


def get(url, **arguments):
    """Make one request on a connection of its own."""
    return httpx.get(url, **PLAIN, **arguments)
