"""`--reload`: what a developer sees."""

import pytest
from processes import eventually

GOOD = "def app(message):\n    message['reply_channel'].send({'status': 200, 'content': b'%s'})\n"
ENGINE = ("--reload", "--reload-engine", "poll")


def answer_of(server):
    try:
        return server.get("/").text
    except OSError:
        return ""


def test_a_change_is_served_by_a_new_worker(serve, tmp_path):
    module = tmp_path / "changing.py"
    module.write_text(GOOD % "first")
    server = serve(*ENGINE, "--pythonpath", str(tmp_path), app="changing:app")
    assert server.get("/").text == "first"

    module.write_text(GOOD % "and second")
    eventually(lambda: answer_of(server) == "and second", "the changed answer")
    assert "changing.py modified" in server.log()


def test_a_syntax_error_is_shown_and_the_repaired_file_served(serve, tmp_path):
    module = tmp_path / "misspelled.py"
    module.write_text("def app(message)\n    pass\n")
    server = serve(*ENGINE, "--pythonpath", str(tmp_path), app="misspelled:app")

    response = server.get("/")
    assert response.status_code == 500
    assert "SyntaxError" in response.text
    assert "misspelled.py" in response.text

    module.write_text(GOOD % "repaired")
    eventually(lambda: answer_of(server) == "repaired", "the repaired answer")


def test_an_error_page_has_the_traceback_in_development_only(serve):
    with serve(*ENGINE).client() as client:
        for path, words in (("/sync/fail", "failed in a thread"), ("/async/fail", "failed on the loop")):
            response = client.get(path)
            assert response.status_code == 500
            assert "Traceback (most recent call last):" in response.text
            assert f"RuntimeError: {words}" in response.text
    with serve().client() as client:
        assert "RuntimeError" not in client.get("/sync/fail").text


@pytest.mark.slow
def test_a_running_request_is_answered_before_the_worker_reloads(serve, tmp_path):
    module = tmp_path / "changing_slowly.py"
    slow = "import time\nfrom pathlib import Path\n\ndef app(message):\n    Path('called').touch()\n    time.sleep(2)\n"
    module.write_text(slow + (GOOD % "slow").partition("\n")[2])
    server = serve(*ENGINE, "--pythonpath", str(tmp_path), app="changing_slowly:app")
    (server.folder / "called").unlink()

    with server.raw() as raw:
        raw.get("/")
        eventually((server.folder / "called").exists, "the request to run")
        module.write_text(GOOD % "fast")
        assert raw.receive(until=b"slow").endswith(b"\r\n\r\nslow")
    eventually(lambda: answer_of(server) == "fast", "the changed answer")
