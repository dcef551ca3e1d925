"""What a start says that cannot succeed: one sentence, an exit code, no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import COMMANDS, PATIENCE, PYTHONPATH

# application -> what the log must say
WRONG = {
    "no_such_module:app": "There is no module 'no_such_module'",
    "live_consumer:routes": "did you mean 'live_consumers'?",
    "live_consumers:no_such_name": "There is no 'no_such_name' in 'live_consumers'",
    "live_consumers:helo": "did you mean 'hello'?",
    "live_consumers": "There is no 'application' in 'live_consumers'",
    "live_consumers.hello:app": "There is no module 'live_consumers.hello'",
    "live_consumers:not_callable": "is not callable",
    "live_consumers:no_arguments": "no_arguments is a callable that requires 0 arguments",
    "live_consumers:two_arguments": "two_arguments(message, other) cannot be called with one argument",
    "live_consumers:no_routes": "the list of routes is empty",
    "live_consumers:not_a_route": "entry 0 of the list of routes is",
}


@pytest.mark.parametrize(
    ("app", "command"),
    [
        *[(app, "uvicorn") for app in WRONG],
        *[(app, "gunicorn") for app in WRONG if app.endswith(("module:app", "helo", "not_callable", "two_arguments"))],
    ],
)
def test_a_wrong_application_is_one_sentence_and_an_exit_code(serve, app, command):
    server = serve(app=app, command=command, is_ready=False)

    assert server.wait() == 4
    assert WRONG[app] in server.log()
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("args", [("--preload",), ("--check-config",)], ids=str)
@pytest.mark.parametrize("app", ["no_such_module:app", "live_consumers:helo", "live_consumers:not_callable"])
def test_the_uvicorn_command_says_it_before_any_worker_too(serve, args, app):
    server = serve(*args, app=app, is_ready=False)

    assert server.wait() != 0
    assert WRONG[app] in server.log()
    assert "Traceback" not in server.log()


def test_a_wrong_name_in_a_package_is_told_where_it_ends(serve):
    server = serve(app="examples.helo:hello_world", is_ready=False)

    assert server.wait() == 4
    assert "There is no module 'examples.helo'; did you mean 'examples.hello'?" in server.log()


@pytest.mark.parametrize("command", COMMANDS)
def test_an_error_in_the_application_keeps_its_traceback(serve, tmp_path, command):
    (tmp_path / "broken_application.py").write_text("import json\n\ntable = json.loads('{')\n")
    server = serve("--pythonpath", str(tmp_path), app="broken_application:app", command=command, is_ready=False)

    assert server.wait() == 3
    assert 'broken_application.py", line 3' in server.log()
    assert server.log().count("JSONDecodeError") == 1
    shown = server.log().partition("Traceback (most recent call last):\n")[2]
    assert shown.startswith(f'  File "{tmp_path}/broken_application.py", line 3')


def test_an_application_that_exits_the_process_is_not_started_for_ever(serve, tmp_path):
    (tmp_path / "leaving_application.py").write_text("import sys\n\nsys.exit('there is no database')\n")
    server = serve("--pythonpath", str(tmp_path), app="leaving_application:app", is_ready=False)

    assert server.wait() == 3
    assert "SystemExit: there is no database" in server.log()


def test_a_missing_dependency_of_the_application_is_not_called_a_wrong_name(serve, tmp_path):
    (tmp_path / "needing_application.py").write_text("import a_missing_dependency\n")
    server = serve("--pythonpath", str(tmp_path), app="needing_application:app", is_ready=False)

    assert server.wait() == 3
    assert 'needing_application.py", line 1' in server.log()
    assert "No module named 'a_missing_dependency'" in server.log()


def test_a_port_in_use_is_said_and_ends_the_start(serve):
    first = serve()
    second = serve(binds=("{}:{}".format(*first.address),), is_ready=False)

    assert second.wait() == 1
    assert "is in use by " in second.log()
    assert f"(pid {first.pid})" in second.log()
    assert "Traceback" not in second.log()
    assert first.get("/sync/hello").status_code == 200


def failed(folder, line):
    """Return what a program has said that calls `uvicorn.run`, and has ended with 1."""
    (folder / "served.py").write_text(f"import uvicorn\n{line}\n")
    done = subprocess.run(
        [sys.executable, "served.py"], cwd=folder, env={**os.environ, "PYTHONPATH": PYTHONPATH}, capture_output=True,
        text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    return done


def test_a_port_in_use_is_said_by_run_with_several_workers_too(serve, tmp_path):
    first = serve()
    done = failed(tmp_path, f"uvicorn.run('live_consumers:routes', port={first.address[1]}, workers=2)")
    assert f"(pid {first.pid})" in done.stderr


def test_a_module_that_cannot_be_imported_is_the_first_that_run_shows(tmp_path):
    (tmp_path / "broken.py").write_text("import a_missing_dependency\n")
    done = failed(tmp_path, "uvicorn.run('broken:app', port=0)")
    files = [Path(line.split('"')[1]).name for line in done.stderr.splitlines() if line.startswith("  File ")]
    assert files == ["served.py", "run.py", "broken.py"]
    assert "ModuleNotFoundError: No module named 'a_missing_dependency'" in done.stderr


def test_a_dict_of_channels_is_told_how_to_be_a_list(serve, tmp_path):
    (tmp_path / "old_routing.py").write_text(
        "def hello(message):\n    pass\n\n"
        "channel_routing = {'http.request': hello, 'websocket.receive': 'old.receive'}\n"
    )
    server = serve("--pythonpath", str(tmp_path), app="old_routing:channel_routing", is_ready=False)

    assert server.wait() == 4
    assert "write [route('http.request', hello), route('websocket.receive', old.receive)]" in server.log()


RETURNING = """
import time

def text(message):
    if message['path'] == '/sent':
        message['reply_channel'].send({'status': 200, 'content': b'sent'})
    return 'hello'

async def reply(message):
    return {'status': 200}

def silent(message):
    pass

from uvicorn import route
routes = [
    route('websocket.connect', silent),
    route('http.request', reply, path='^/async'),
    route('http.request', text),
]
"""


def test_what_a_consumer_returned_instead_of_sending_it_is_told(serve, tmp_path):
    (tmp_path / "returning.py").write_text(RETURNING)
    server = serve("--pythonpath", str(tmp_path), app="returning:routes", is_ready=False)
    server.wait_for_log("Serving with")
    server.wait_until_listening()

    assert server.get("/").status_code == 500
    server.wait_for_log(
        "returning.text returned a str, which goes nowhere; send it with message['reply_channel'].send("
    )
    assert server.get("/async").status_code == 500
    server.wait_for_log("returning.reply returned a dict, which goes nowhere")
    assert server.get("/sent").text == "sent"
    assert server.log().count("goes nowhere") == 2


def test_a_socket_that_nobody_has_accepted_is_told_with_the_remedy(serve, tmp_path):
    (tmp_path / "returning.py").write_text(RETURNING)
    server = serve("--pythonpath", str(tmp_path), app="returning:routes", is_ready=False)
    server.wait_for_log("Serving with")
    server.wait_until_listening()
    with server.raw() as raw:
        raw.get(
            "/",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {'x' * 22}==",
            "Sec-WebSocket-Version: 13",
        )
        assert raw.receive().startswith(b"HTTP/1.1 403 ")
    server.wait_for_log("returning.silent has not accepted the socket, so it is refused with 403")
