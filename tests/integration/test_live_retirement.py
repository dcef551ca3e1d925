"""Workers that have grown too old or too large are replaced, one after the other, and nobody fails."""

import re

from processes import eventually


def test_workers_that_are_too_old_leave_one_after_the_other_and_no_request_fails(serve):
    server = serve("--workers", "3", "--max-age", "3", app="watched_consumers:routes")
    eventually(lambda: len(server.workers()) == 3, "three workers")
    first = set(server.workers())

    def all_are_new():
        assert server.get("/hello").status_code == 200
        now = set(server.workers())
        assert len(now) <= 5  # one is added before one is taken away; a moment later the next one
        return len(now) >= 3 and not now & first

    eventually(all_are_new, "three new workers")
    log = server.log()
    assert len(re.findall(r"The worker is replaced: it is older than max_age \(3 seconds\) \(pid: \d+\)", log)) >= 3
    assert "exited with code" not in log


def test_a_worker_that_is_too_large_is_replaced(serve):
    server = serve("--max-rss", "10000", app="watched_consumers:routes")
    log = server.wait_for_log("The worker is replaced: it has ")
    old = int(re.search(r"it has \d+ bytes, more than max_rss \(10000\) \(pid: (\d+)\)", log)[1])
    assert f"Booting worker with pid: {old}\n" in log[: log.index("The worker is replaced")]
    eventually(lambda: old not in server.workers(), "the old one to leave")
    assert server.log().index("Booting worker", server.log().index("is replaced")) < server.log().index(
        "Worker stopping"
    )


def test_a_worker_past_the_hard_bound_leaves_at_once(serve):
    server = serve("--max-rss-hard", "10000", app="watched_consumers:routes", is_ready=False)
    server.wait_for_log("The worker leaves at once: it has ")
    server.wait_for_log("Booting worker", 2)
    assert "more than max_rss_hard (10000)" in server.log()
