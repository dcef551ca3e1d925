"""The bridge under any order of events: requests, replies of both sides, slow and leaving clients, time, and the stop.

The real connection, dispatcher, pool, outbox and channels, with real threads; the loop, its clock and the transports
are doubles, and each consumer does what it is told next. Whatever happens, in the end

- every request that was read ends in exactly one of answered, refused and abandoned, and is reported once;
- every call of a consumer ends once, and a request is given to one call at most;
- no thread waits, nothing is queued, nothing is counted, nothing is held;
- what a client reads are whole answers to its own requests, in their order, until its connection ends.

`INTERLEAVINGS=5000 pytest -s tests/bridge/test_interleavings.py` runs longer; the number is that of random orders.
With `SHRINK=1` an order that fails is made shorter, which takes its time.
"""

from collections import Counter

from interleavings import STEPS, Bench, in_any_order, take_steps

TOTALS = Counter()


@in_any_order(STEPS)
def test_every_request_ends_once_and_no_thread_waits_whatever_the_order(steps, has_hooks, queue_timeout):
    bench = Bench(has_hooks, queue_timeout)
    take_steps(bench, steps)
    TOTALS.update(bench.outcomes, orders=1, steps=len(steps))


def test_the_orders_had_all_outcomes():
    """What the test above saw, for the log; it says nothing if the requests all ended in one way."""
    print(dict(TOTALS))
    assert not TOTALS or all(TOTALS[outcome] for outcome in ("answered", "refused", "abandoned"))
