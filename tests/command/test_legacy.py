"""Which layer there is for a project of Channels 1: that of `--channel-layer`, or of CHANNEL_LAYERS."""

import sys
import types

import pytest
from gunicorn.config import Config
from gunicorn.errors import AppImportError

from uvicorn.channels1 import alias
from uvicorn.channels1.asgi import ChannelLayerWrapper, channel_layers
from uvicorn.channels1.backends import layer_of
from uvicorn.command.legacy import with_layer
from uvicorn.command.settings import OURS, Settings, environment_name

REDIS = "redis://localhost:6379/0"


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for setting in OURS:
        monkeypatch.delenv(environment_name(setting.name), raising=False)
    monkeypatch.delitem(sys.modules, "__config__", raising=False)


@pytest.fixture
def channel_layers_name(monkeypatch):
    """Have CHANNEL_LAYERS name a BACKEND, with its CONFIG."""
    monkeypatch.setattr(alias, "is_installed", lambda: True)
    olds = []

    def name(backend="asgi_redis.RedisChannelLayer", **config):
        wrapper = ChannelLayerWrapper(layer_of("default", backend, config), "default", [])
        olds.append(channel_layers.set("default", wrapper))

    yield name
    for old in olds[:1]:
        channel_layers.set("default", old)


def layer(**values):
    """Return what is settled when the application is loaded."""
    cfg = Config()
    for name, value in values.items():
        cfg.set(name, value)
    return with_layer(Settings.from_config(cfg), cfg).layer


def test_the_layer_of_the_settings_of_django_is_taken(channel_layers_name):
    channel_layers_name()
    assert layer(channels1=True).url == REDIS


def test_only_channels_is_not_refused_where_channel_layers_names_redis(channel_layers_name):
    channel_layers_name()
    assert layer(channels1=True, only_channels="mail").url == REDIS


@pytest.mark.parametrize("values", [{}, {"channels1": True}])
def test_only_channels_is_refused_with_the_remedy_where_no_other_process_is_reached(channel_layers_name, values):
    channel_layers_name("asgiref.inmemory.ChannelLayer")
    with pytest.raises(AppImportError, match="give the server and this process the same local:///path, or a redis"):
        layer(only_channels="mail", **values)


def test_only_channels_is_refused_where_nothing_is_of_channels_1():
    with pytest.raises(AppImportError, match="only_channels with channel_layer local:// gets no message"):
        layer(only_channels="mail")


def test_the_default_layer_that_is_given_on_purpose_beats_channel_layers(channel_layers_name):
    channel_layers_name()
    assert layer(channel_layer="local://").url == "local://"


def test_the_default_layer_of_the_environment_beats_channel_layers(channel_layers_name, monkeypatch):
    channel_layers_name()
    monkeypatch.setenv("UVICORN_CHANNEL_LAYER", "local://")
    assert layer().url == "local://"


def test_the_default_layer_of_a_config_file_beats_channel_layers_under_a_plain_gunicorn(
    channel_layers_name, monkeypatch
):
    channel_layers_name()
    module = types.ModuleType("__config__")
    module.channel_layer = "local://"
    monkeypatch.setitem(sys.modules, "__config__", module)
    cfg = Config()
    for setting in OURS:
        del cfg.settings[setting.name]
    cfg.set("config", "./gunicorn.conf.py")
    assert with_layer(Settings.from_config(cfg), cfg).layer.url == "local://"
