"""`import channels` finds ours, and only where nothing else has this name."""

import importlib.metadata
import subprocess
import sys

import pytest

from uvicorn.channels1 import alias
from uvicorn.errors import StartupError


def said(code, folder, **options):
    """Run code in a process of its own; return what it prints."""
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_nothing_is_found_before(tmp_path):
    code = "import uvicorn.channels1, importlib.util as u; print(u.find_spec('channels'))"
    assert said(code, tmp_path) == ["None"]


def test_django_is_imported_by_nobody_who_does_not_ask_for_it(tmp_path):
    code = (
        "import sys, uvicorn.channels1 as c; c.install(); import channels.routing, channels.sessions, channels.auth\n"
    )
    code += "import channels.generic.websockets, channels.message, channels.security.websockets, channels.asgi\n"
    code += "print([name for name in sys.modules if name.startswith('django')])"
    assert said(code, tmp_path) == ["[]"]


def test_an_import_gives_the_module_itself(tmp_path):
    code = (
        "import uvicorn.channels1 as c; c.install(); c.install(); import channels, channels.generic.websockets as w\n"
    )
    code += "from uvicorn.channels1.generic import websockets\nfrom channels import Group, route_class\n"
    code += "print(channels is c, w is websockets, channels.generic.websockets is w, w.__spec__.name, Group.__module__)"
    assert said(code, tmp_path) == ["True", "True", "True", w_name("generic.websockets"), w_name("channel")]


def w_name(name):
    return f"uvicorn.channels1.{name}"


def test_the_layer_of_tests_is_found_where_it_was(tmp_path):
    code = "import uvicorn.channels1 as c; c.install(); from asgiref.inmemory import ChannelLayer, channel_layer\n"
    code += "import asgiref.sync; ChannelLayer().send('a', {}); print(ChannelLayer.__module__)"
    assert said(code, tmp_path) == [w_name("memory")]


def test_a_later_channels_wins(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "4.2.2")
    with pytest.raises(StartupError) as refused:
        alias.install()
    assert str(refused.value) == (
        "channels 4.2.2 is installed, and --channels1 is for projects of Channels 1: leave the option away, or "
        "uninstall channels"
    )
    assert not alias.is_installed()


def test_a_package_of_the_project_that_is_called_channels_wins(tmp_path):
    (tmp_path / "channels.py").write_text("")
    code = "import uvicorn.channels1 as c\ntry: c.install()\nexcept Exception as error: print(error)"
    words = said(code, tmp_path)
    assert " ".join(words).startswith("there is another package called channels, ")


def test_channels_1_itself_gives_way(tmp_path):
    (tmp_path / "channels.py").write_text("raise SystemExit('imported')")
    info = tmp_path / "channels-1.1.8.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: channels\nVersion: 1.1.8\n")
    code = "import uvicorn.channels1 as c; c.install(); import channels; print(channels is c)"
    assert said(code, tmp_path) == ["True"]


def test_a_program_finds_channels_without_a_change_in_it(tmp_path):
    (tmp_path / "other.py").write_text("from channels import Group")
    program = tmp_path / "manage.py"
    program.write_text("import sys, other; print(__name__, other.Group.__module__, *sys.argv)")
    words = [sys.executable, "-m", "uvicorn.channels1"]
    options = {"capture_output": True, "text": True, "timeout": 120, "check": False}
    done = subprocess.run([*words, program, "migrate", "-v0"], **options)
    assert done.stdout.split() == ["__main__", "uvicorn.channels1.channel", str(program), "migrate", "-v0"], done.stderr
    done = subprocess.run([*words, "-m", "other"], cwd=tmp_path, **options)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([*words, "--help"], **options)
    assert (done.returncode, done.stderr[:6]) == (1, "usage:")
