"""A browser over HTTP/2: it is asked itself which protocol it spoke, for all that a page is made of."""

import pytest
from browsers import Page, browsing, needs_browser
from certificates import Files

POSTS, SOCKETS = ["/sync/echo", "/async/echo"], ["/sync/socket", "/async/socket"]


@needs_browser
@pytest.mark.parametrize("engine", ["ngh2", "h2"])
def test_a_browser_says_that_page_posts_and_sockets_came_over_http2(serve, tmp_path, engine):
    files = Files(tmp_path)
    server = serve(*files.args(), "--threads", "4", "--http2-engine", engine, app="browser_consumers:routes")
    assert f"HTTP/2 by {engine} " in server.log()
    profile = tmp_path / "profile"
    with (
        browsing(f"{server.url}/page", profile, "--ignore-certificate-errors"),
        Page(profile) as page,
    ):
        page.wait_for("document.readyState === 'complete' && typeof protocols === 'function'")
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(1, 2, 3)"
        page.command("Network.enable")  # the sockets are not among what a page can look up

        page.evaluate(f"{POSTS}.forEach(post); {SOCKETS}.forEach(talk)")

        page.wait_for("Object.keys(results).length === 4")
        assert page.evaluate("results") == (
            dict.fromkeys(POSTS, True) | {path: ["HTTP/2", "hello", True, 4321, True] for path in SOCKETS}
        )
        page.wait_for("Object.keys(protocols()).length === 5")  # an entry may come behind its answer
        assert page.evaluate("protocols()") == dict.fromkeys(["/page", "/page.css", "/page.js", *POSTS], "h2")
        answers = [told["response"] for told in page.events("Network.webSocketHandshakeResponseReceived", 2)]
        assert [answer["status"] for answer in answers] == [200, 200], answers  # of RFC 8441; it is 101 over HTTP/1.1
    assert "Traceback" not in server.log()
