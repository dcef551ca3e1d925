"""Every public name of Channels 1.1.8: it is there, or its import says why not; and the documentation knows it."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

NAMES = {
    "": "Channel Group route route_class include channel_layers DEFAULT_CHANNEL_LAYER __version__",
    "apps": "ChannelsConfig",
    "asgi": "InvalidChannelLayerError ChannelLayerManager ChannelLayerWrapper get_channel_layer channel_layers",
    "auth": "transfer_user channel_session_user http_session_user channel_session_user_from_http "
    "channel_and_http_session_user_from_http",
    "binding": "Binding",
    "binding.base": "CREATE UPDATE DELETE BindingMetaclass Binding",
    "binding.websockets": "WebsocketBinding WebsocketBindingWithMembers",
    "channel": "Channel Group",
    "delay.apps": "DelayConfig",
    "exceptions": "ConsumeLater ResponseLater RequestTimeout RequestAborted DenyConnection ChannelSocketException "
    "WebsocketCloseException SendNotAvailableOnDemultiplexer",
    "generic": "BaseConsumer",
    "generic.base": "BaseConsumer",
    "generic.websockets": "WebsocketConsumer JsonWebsocketConsumer WebsocketMultiplexer WebsocketDemultiplexer",
    "handler": "AsgiRequest AsgiHandler ViewConsumer",
    "message": "Message PendingMessageStore pending_message_store",
    "routing": "Router Route RouteClass Include null_consumer connect_consumer route route_class include",
    "security.websockets": "BaseOriginValidator AllowedHostsOnlyOriginValidator allowed_hosts_only",
    "sessions": "session_for_reply_channel channel_session enforce_ordering http_session channel_and_http_session",
    "signals": "consumer_started consumer_finished worker_ready worker_process_ready",
    "staticfiles": "StaticFilesHandler StaticFilesConsumer",
    "test": "TransactionChannelTestCase ChannelTestCase Client apply_routes HttpClient WSClient",
    "test.base": "ChannelTestCaseMixin ChannelTestCase TransactionChannelTestCase Client apply_routes",
    "test.http": "HttpClient",
    "test.websocket": "WSClient",
    "tests": "ChannelTestCase HttpClient",
    "utils": "name_that_thing",
}
GONE = {
    "delay.migrations": "",
    "delay.models": "DelayedMessage DelayedMessageQuerySet",
    "delay.worker": "Worker",
    "hacks": "monkeypatch_django",
    "log": "setup_logger",
    "package_checks": "",
    "test.liveserver": "ChannelLiveServerTestCase",
    "worker": "Worker WorkerGroup",
}
GONE_NAMES = {"": "default_app_config", "sessions": "requeue_messages wait_channel_name"}
PAGE = (Path(__file__).parents[2] / "docs" / "channels1.md").read_text(encoding="utf-8")


def test_all_names_are_there_or_say_why_not(tmp_path):
    code = f"""
import importlib, uvicorn.channels1
from django.conf import settings
settings.configure()
uvicorn.channels1.install()
for module, names in {NAMES!r}.items():
    found = importlib.import_module(("channels." + module).rstrip("."))
    for name in names.split():
        assert hasattr(found, name), (module, name)
for module in {list(GONE)!r}:
    try:
        importlib.import_module("channels." + module)
    except ImportError as error:
        assert "is not there: " in str(error), error
    else:
        raise AssertionError(module)
for name in {GONE_NAMES["sessions"]!r}.split():
    try:
        exec("from channels.sessions import " + name)
    except ImportError as error:
        assert name + " is not there: " in str(error), error
    else:
        raise AssertionError(name)
import channels.sessions
assert not hasattr(channels.sessions, "anything")
"""
    words = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", sorted({*NAMES, *GONE, *GONE_NAMES}))
def test_the_documentation_has_a_line_for_each_name(module):
    names = " ".join((NAMES.get(module, ""), GONE.get(module, ""), GONE_NAMES.get(module, ""))).split()
    assert [name for name in names if f"`{name}`" not in PAGE] == []
    package, _, rest = module.partition(".")
    known = [f"`channels.{module}`", f"`channels.{package}`"] if module else ["`channels`"]
    assert any(name in PAGE for name in known)
    assert not rest or f"`channels.{module}`" in PAGE or f"`.{rest}`" in PAGE


@pytest.mark.parametrize("name", ["AsgiHandler", "AsgiRequest", "ViewConsumer"])
def test_the_package_gives_what_needs_django_when_it_is_asked_for(name):
    package = importlib.import_module("uvicorn.channels1")
    assert getattr(package, name).__module__ == "uvicorn.channels1.handler"
    assert {*package.__all__} <= {*dir(package), name, "AsgiHandler", "AsgiRequest", "ViewConsumer"}
    with pytest.raises(AttributeError):
        _ = package.nothing
