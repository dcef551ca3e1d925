"""A mount that sends who leaves the slash out to the address with it."""

import pytest

from uvicorn import Router, mount


def redirected(path, root_path="", query=b"", raw_path=None, **options):
    """Return what a mount at /api replies to a request itself, or None if its application is asked."""
    sent = []

    class Channel:
        send = sent.append

    async def inside(message):
        pass

    message = {
        "path": path, "raw_path": raw_path or path.encode(), "root_path": root_path, "query_string": query,
        "reply_channel": Channel(),
    }  # fmt: skip
    consumer = Router([mount("/api", inside, **options)]).find("http.request", path, message)
    assert consumer.is_async
    coroutine = consumer.call(message)
    with pytest.raises(StopIteration):
        coroutine.send(None)
    return sent[0] if sent else None


def test_a_mount_that_wants_it_sends_who_leaves_the_slash_out_to_the_address_with_it():
    assert redirected("/api") is None
    assert redirected("/api/", redirect=True) is None
    assert redirected("/api/x", redirect=True) is None
    assert redirected("/api", redirect=True) == {"status": 307, "headers": [(b"location", b"/api/")]}
    assert redirected("/api", redirect=True, query=b"a=1&b")["headers"] == [(b"location", b"/api/?a=1&b")]
    assert redirected("/api", redirect=True, raw_path=b"/%61pi")["headers"] == [(b"location", b"/%61pi/")]


@pytest.mark.parametrize("path", ["/api", "/site/api"])
def test_the_address_with_the_slash_has_the_root_path_once(path):
    assert redirected(path, "/site", redirect=True)["headers"] == [(b"location", b"/site/api/")]


def test_a_socket_is_not_redirected():
    def inside(message):
        pass

    router = Router([mount("/api", inside, redirect=True)])
    assert router.find("websocket.connect", "/api").target is inside
    assert router.moved(lambda consumer: consumer).find("http.request", "/api").target is not inside
