"""The `uvicorn` command, in processes of its own that serve nothing."""

import os
import re
import subprocess
import sys

import pytest
from patience import PATIENCE_SECONDS

import uvicorn
from uvicorn.command.settings import OURS
from uvicorn.command.threads import default_threads

APPLICATION = """
def application(message):
    pass

def hello_world(message):
    pass

number = 7
"""


@pytest.fixture
def site(tmp_path):
    """A folder with an application."""
    (tmp_path / "webshop.py").write_text(APPLICATION)
    return tmp_path


def run(site, *args, module="uvicorn", **environment):
    """Run the command in a folder; return its result, output as text."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("UVICORN_", "GUNICORN_"))}
    return subprocess.run(
        [sys.executable, "-m", module, *args],
        cwd=site,
        env=variables | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def shown(result):
    """Return the values that --print-config shows."""
    assert result.returncode == 0, result.stderr
    pairs = (line.partition("=") for line in result.stdout.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def test_the_parser_knows_our_settings_whoever_asks_first(site):
    code = "from uvicorn.command.parsing import CommandConfig; print(CommandConfig(prog='uvicorn').parser().prog)"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=site, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert (result.stdout, result.stderr) == ("uvicorn\n", "")


def test_version_tells_both_versions(site):
    result = run(site, "--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"uvicorn {uvicorn.__version__} (gunicorn ")
    assert run(site, "-v").stdout == result.stdout


def test_help_shows_our_settings_among_gunicorns(site):
    result = run(site, "--help")
    assert result.returncode == 0
    for setting in OURS:
        assert setting.cli[0] in result.stdout
    assert "--bind" in result.stdout
    assert "uvicorn [OPTIONS] module:application" in result.stdout


def test_the_number_of_workers_may_come_from_the_environment(site):
    assert shown(run(site, "--print-config", "webshop", WEB_CONCURRENCY="3"))["workers"] == "3"
    assert shown(run(site, "--print-config", "webshop", WEB_CONCURRENCY="3", UVICORN_WORKERS="2"))["workers"] == "2"


def test_help_is_in_groups_one_line_each_without_markup(site):
    lines = run(site, "--help", COLUMNS="300").stdout.splitlines()
    headings = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert headings == [
        "What is served:", "Where:", "Threads and queue:", "Limits and timeouts:", "WebSocket:",
        "HTTP/2:", "Proxies and headers:", "Watching:", "Logs:", "Development:",
    ]  # fmt: skip
    assert all(len(line) <= 120 for line in lines)
    assert not any(sign in line for line in lines for sign in ("`", "**", "…"))


def test_all_the_rest_is_shown_on_demand(site):
    short, long = run(site, "--help").stdout, run(site, "--help-all").stdout
    for option in ("--worker-class", "--ssl-certfile", "--dirty-app"):
        assert option not in short
        assert option in long
    assert "Gunicorn's:" in long
    assert "--help-all" in short


def test_help_shows_our_defaults(site):
    text = " ".join(run(site, "--help-all").stdout.split())
    assert "[uvicorn.ASGIWorker]" in text
    assert f"[{default_threads()}]" in text


@pytest.mark.parametrize(
    ("args", "environment", "shows"),
    [
        ((), {}, "True"),
        (("--no-proxy-headers",), {}, "False"),
        (("--proxy-headers",), {"UVICORN_PROXY_HEADERS": "false"}, "True"),
        ((), {"UVICORN_PROXY_HEADERS": "false"}, "False"),
    ],
)
def test_proxies_are_believed_by_the_command(site, args, environment, shows):
    values = shown(run(site, "--print-config", *args, "webshop", **environment))
    assert values["proxy_headers"] == shows


def test_no_application_at_all_is_told_in_one_sentence(site):
    result = run(site)
    assert result.returncode == 1
    assert result.stderr.strip() == "Error: No application module specified."


def test_defaults_are_ours(site):
    values = shown(run(site, "--print-config", "webshop"))
    assert values["worker_class"] == "uvicorn.ASGIWorker"
    assert values["threads"] == str(default_threads())
    assert values["queue_size"] == "-1"
    assert values["server_header"] == "uvicorn"


def test_default_threads_are_those_of_pythons_executor():
    assert default_threads() == min(32, (os.cpu_count() or 1) + 4)


@pytest.mark.parametrize(("args", "threads"), [([], "7"), (["--threads", "3"], "3")])
def test_config_file_and_command_line_go_before_our_defaults(site, args, threads):
    (site / "gunicorn.conf.py").write_text("threads = 7")
    assert shown(run(site, "--print-config", *args, "webshop"))["threads"] == threads


@pytest.mark.parametrize(
    ("args", "conf_file", "environment", "value"),
    [
        (["--queue-size", "1"], "queue_size = 2\nraw_env = ['UVICORN_QUEUE_SIZE=3']", "4", "1"),
        ([], "queue_size = 2\nraw_env = ['UVICORN_QUEUE_SIZE=3']", "4", "2"),
        ([], "raw_env = ['UVICORN_QUEUE_SIZE=3']", "4", "3"),
        ([], "", "4", "4"),
        (["-e", "UVICORN_QUEUE_SIZE=5"], "", "4", "5"),
    ],
    ids=["command line", "config file", "raw_env", "environment", "raw_env on the command line"],
)
def test_print_config_shows_the_value_that_will_hold(site, args, conf_file, environment, value):
    (site / "gunicorn.conf.py").write_text(conf_file)
    result = run(site, "--print-config", *args, "webshop", UVICORN_QUEUE_SIZE=environment)
    assert shown(result)["queue_size"] == value


def test_gunicorns_command_line_variable_works(site):
    result = run(site, "--print-config", "webshop", GUNICORN_CMD_ARGS="--queue-size 6", UVICORN_QUEUE_SIZE="4")
    assert shown(result)["queue_size"] == "6"


@pytest.mark.parametrize(
    ("args", "conf_file", "environment", "said"),
    [
        (["--queue-timeout", "soon"], "", {}, ["--queue-timeout", "'soon'"]),
        (["--queue-size", "-2"], "", {}, ["queue_size must be", "-2"]),
        ([], "queue_size = 'many'", {}, ["queue_size must be", "'many'"]),
        ([], "", {"UVICORN_QUEUE_SIZE": "many"}, ["queue_size must be", "'many'", "UVICORN_QUEUE_SIZE"]),
        ([], "raw_env = ['UVICORN_BODY_BUFFER=64k']", {}, ["body_buffer must be", "'64k'", "in raw_env"]),
    ],
    ids=["type on the command line", "value on the command line", "config file", "environment", "raw_env"],
)
def test_a_wrong_value_is_told_with_its_setting_and_ends_the_command(site, args, conf_file, environment, said):
    (site / "gunicorn.conf.py").write_text(conf_file)
    result = run(site, "--check-config", *args, "webshop", **environment)
    assert result.returncode in (1, 2)
    for part in said:
        assert part in result.stderr
    assert "Traceback" not in result.stderr


# ---- the application ----


@pytest.mark.parametrize("uri", ["webshop", "webshop:hello_world"])
def test_a_right_name_passes_the_check(site, uri):
    result = run(site, "--check-config", uri)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_the_application_may_be_named_in_the_config_file(site):
    (site / "gunicorn.conf.py").write_text("wsgi_app = 'webshop:hello_world'")
    assert run(site, "--check-config").returncode == 0


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("webshop:helo_world", "There is no 'helo_world' in 'webshop'; did you mean 'hello_world'?"),
        ("webshp:hello_world", "There is no module 'webshp'; did you mean 'webshop'?"),
        ("webshop.py:hello_world", "There is no module 'webshop.py'; did you mean 'webshop:hello_world'?"),
        ("", "'' is not the name of a module; write module:name"),
        ("webshop:number", "Cannot serve 'webshop:number': "),
    ],
)
@pytest.mark.parametrize("flag", ["--check-config", "--preload"])
def test_a_wrong_name_is_told_in_one_sentence_and_ends_with_4(site, uri, sentence, flag):
    result = run(site, flag, "--bind", "127.0.0.1:0", uri)
    assert result.returncode == 4
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert sentence in line
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("code", ["1 / 0", "import webshop_that_is_not_there", "int('x')", "def broken(:"])
def test_an_error_in_the_applications_import_shows_its_traceback(site, code):
    (site / "broken.py").write_text(f"# a comment\n{code}\n")
    result = run(site, "--check-config", "broken:application")
    assert result.returncode != 0
    assert "Traceback" in result.stderr
    assert 'broken.py", line 2' in result.stderr


def test_plain_gunicorn_checks_a_consumer_too(site):
    result = run(site, "--check-config", "-k", "uvicorn.ASGIWorker", "webshop:hello_world", module="gunicorn")
    assert (result.returncode, result.stderr) == (0, "")


def test_the_command_does_not_import_the_worker_for_its_version(site):
    code = "import sys, uvicorn.command.cli; print('uvicorn.command.worker' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=site, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True
    )
    assert result.stdout.strip() == "False"


def test_a_server_without_tls_imports_no_engine_of_http_2(site):
    (site / "nosy.py").write_text(
        "import sys\nprint([name for name in ('ngh2', 'h2') if name in sys.modules])\nasync def app(message): ...\n"
    )
    result = run(site, "--check-config", "nosy:app")
    assert (result.returncode, result.stdout, result.stderr) == (0, "[]\n", "")


@pytest.mark.parametrize(
    ("args", "name"),
    [
        ((), "uvicorn-127.0.0.1-8000.ctl"),
        (("--bind", "0.0.0.0:81", "--bind", "127.0.0.1:82"), "uvicorn-0.0.0.0-81.ctl"),
        (("--bind", "[::1]:83"), "uvicorn-1-83.ctl"),
        (("--bind", "unix:/run/app.sock"), "uvicorn-run-app.sock.ctl"),
        (("--control-socket", "/run/mine.ctl"), "mine.ctl"),
    ],
)
def test_each_server_has_a_control_socket_of_its_own(site, args, name):
    values = shown(run(site, "--print-config", *args, "webshop"))
    assert os.path.basename(values["control_socket"]) == name


def test_a_server_whose_port_is_not_known_yet_names_its_control_socket_after_its_process(site):
    values = shown(run(site, "--print-config", "--bind", "127.0.0.1:0", "webshop"))
    assert re.fullmatch(r"uvicorn-[0-9]+\.ctl", os.path.basename(values["control_socket"]))
