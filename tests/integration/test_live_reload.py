"""`--reload`: what a developer sees."""

import contextlib

import httpx
from processes import eventually

GOOD = "def app(message):\n    message['reply_channel'].send({'status': 200, 'content': b'%s'})\n"
ENGINE = ("--reload", "--reload-engine", "poll")


def ask(server):
    try:
        return server.get("/")
    except httpx.TransportError:  # the old worker has closed a connection on which nothing had come yet
        return httpx.Response(0)


def answer_of(server):
    return ask(server).text


def save(path, text):
    """Write a file as editors do: whoever looks meanwhile finds the old text or the new one, and not none."""
    written = path.with_name(f"{path.name}~")
    written.write_text(text)
    written.replace(path)


def test_a_change_is_served_by_a_new_worker(serve, tmp_path):
    module = tmp_path / "changing.py"
    module.write_text(GOOD % "first")
    server = serve(*ENGINE, "--pythonpath", str(tmp_path), app="changing:app")
    assert server.get("/").text == "first"

    save(module, GOOD % "and second")
    eventually(lambda: answer_of(server) == "and second", "the changed answer")
    assert "changing.py modified" in server.log()


ASGI = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no lifespan"})
"""
FAILURES = {
    "name": ("x = nonsense\n", "NameError: name 'nonsense' is not defined"),
    "import": ("import a_missing_dependency\n", "No module named 'a_missing_dependency'"),
    "no application": ("x = 1\n", "There is no 'app' in 'recovering'"),
    "exit": ("import sys\nsys.exit('no start')\n", "SystemExit: no start"),
    "startup": ("def on_startup():\n    raise RuntimeError('no start')\n\n" + GOOD % "x", "RuntimeError: no start"),
    "lifespan": (ASGI, "no lifespan"),
    "settings": (
        "import os\nos.environ['DJANGO_SETTINGS_MODULE'] = 'missing_settings'\n"
        "from django.core.asgi import get_asgi_application\napp = get_asgi_application()\n",
        "No module named 'missing_settings'",
    ),
}


def test_any_failure_of_a_start_is_shown_once_and_the_next_save_recovers(serve, tmp_path):
    module = tmp_path / "recovering.py"
    module.write_text("y = other_nonsense\n")
    server = serve("--reload", "--pythonpath", str(tmp_path), app="recovering:app")
    assert "NameError: name 'other_nonsense'" in server.get("/").text
    for name, (text, words) in FAILURES.items():
        save(module, text)
        answer = eventually(lambda words=words: words in (got := ask(server)).text and got, f"{name} to be shown")
        assert answer.status_code == 500
        assert server.log().count(f"{words}\n") == 1, server.log()
    save(module, GOOD % "recovered")
    eventually(lambda: answer_of(server) == "recovered", "the recovered answer")


def test_requests_that_are_open_are_answered_and_keep_no_change_from_being_served(serve, tmp_path):
    module = tmp_path / "changing_often.py"
    held = (
        "import time\nfrom pathlib import Path\n\ndef app(message):\n    name = message['path'][1:]\n"
        "    Path(name or 'none').touch()\n    while name[:4] == 'held' and not Path('go').exists():\n"
        "        time.sleep(0.01)\n"
    )
    module.write_text(held + (GOOD % "0").partition("\n")[2])
    server = serve("--reload", "--pythonpath", str(tmp_path), app="changing_often:app")
    with contextlib.ExitStack() as stack:
        idle = stack.enter_context(server.raw())
        idle.get("/").receive(until=b"0")
        raws = []
        for number in range(3):
            raws.append(stack.enter_context(server.raw()))
            raws[-1].get(f"/held{number}")
            eventually((server.folder / f"held{number}").exists, "the request to run")
            save(module, held + (GOOD % (number + 1)).partition("\n")[2])
            eventually(lambda number=number: answer_of(server) == str(number + 1), "the changed answer")
            server.wait_for_log("Worker stopping", number + 1)  # or the next connection could be the old one's
        assert idle.receive() == b""  # its client would go on with the old worker
        (server.folder / "go").touch()
        assert [raw.receive()[-1:] for raw in raws] == [b"0", b"1", b"2"]
    eventually(lambda: len(server.workers()) == 1, "the old workers to end")


def test_a_template_is_watched(serve, tmp_path):
    module = tmp_path / "templated.py"
    module.write_text(
        "from pathlib import Path\n\nPAGE = Path(__file__).with_name('page.html').read_bytes()\n\n"
        "def app(message):\n    message['reply_channel'].send({'status': 200, 'content': PAGE})\n"
    )
    (tmp_path / "page.html").write_text("first")
    server = serve("--reload", "--pythonpath", str(tmp_path), app="templated:app")
    assert server.get("/").text == "first"
    save(tmp_path / "page.html", "second")
    eventually(lambda: answer_of(server) == "second", "the changed page")


def test_plain_gunicorn_reloads_in_the_same_way(serve, tmp_path):
    module = tmp_path / "plainly.py"
    module.write_text("x = nonsense\n")
    args = ("--reload", "--workers", "2", "--pythonpath", str(tmp_path))
    server = serve(*args, app="plainly:app", command="gunicorn")
    assert "NameError" in server.get("/").text
    save(module, GOOD % "mended")
    eventually(lambda: [answer_of(server) for _ in range(8)] == ["mended"] * 8, "both workers to be new")
    eventually(lambda: len(server.workers()) == 2, "two workers")


def test_a_syntax_error_is_shown_and_the_repaired_file_served(serve, tmp_path):
    module = tmp_path / "misspelled.py"
    module.write_text("def app(message)\n    pass\n")
    server = serve(*ENGINE, "--pythonpath", str(tmp_path), app="misspelled:app")

    response = server.get("/")
    assert response.status_code == 500
    assert "SyntaxError" in response.text
    assert "misspelled.py" in response.text

    save(module, GOOD % "repaired")
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
