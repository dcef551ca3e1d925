"""How long a test waits for what must happen. When all is well, nothing waits that long.

Patience ends a test that would hang, and says what it waited for. It never decides a result: it is far longer than
a machine that is half as fast, with other work on every core, needs. Where a test shows that something happens
*before* a deadline of the server, that deadline is `NEVER_SECONDS`: the patience of the test runs out first.
"""

import time

PATIENCE_SECONDS = 120.0  # pytest's own timeout, in setup.cfg, is longer
NEVER_SECONDS = 900  # a deadline of a server that no test lives to see


def until(condition, what="the condition"):
    """Return what `condition` returns, as soon as it is true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come true within {PATIENCE_SECONDS:.0f} seconds"
        time.sleep(0.0005)
