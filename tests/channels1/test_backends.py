"""What a BACKEND of CHANNEL_LAYERS stands for."""

import pytest

from uvicorn.channels1 import backends
from uvicorn.channels1.asgi import InvalidChannelLayerError
from uvicorn.channels1.backends import layer_of
from uvicorn.channels1.channel import Channel, Group
from uvicorn.channels1.nobody import Nobody
from uvicorn.errors import ChannelLayerUnavailable
from uvicorn.layers import current

REDIS = "asgi_redis.RedisChannelLayer"


@pytest.mark.parametrize("backend", [REDIS, "asgi_redis.RedisSentinelChannelLayer"])
def test_encryption_that_is_asked_for_is_not_left_out_in_silence(backend):
    config = {"hosts": [("a", 1)], "services": ["x"], "symmetric_encryption_keys": ["secret"]}
    with pytest.raises(InvalidChannelLayerError, match="messages are not encrypted here") as refused:
        layer_of("default", backend, config)
    assert "['default']" in str(refused.value)
    assert "have TLS on the way to Redis" in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("keys", [None, []])
def test_no_keys_are_no_encryption(keys):
    layer = layer_of("default", REDIS, {"hosts": [("a", 1)], "symmetric_encryption_keys": keys})
    assert layer.url == "redis://a:1/0"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("redis://a:1/0", "redis://a:1/0?prefix=my%20site"),
        ("rediss://a:1/0?ssl_cert_reqs=none", "rediss://a:1/0?ssl_cert_reqs=none&prefix=my%20site"),
    ],
)
def test_the_prefix_comes_behind_the_options_that_a_host_has(host, url):
    assert layer_of("default", REDIS, {"hosts": [host], "prefix": "my site"}).url == url


@pytest.fixture
def program(monkeypatch):
    """Have this process be none that knows a layer."""
    monkeypatch.setattr(current, "_current", None)
    monkeypatch.setattr("uvicorn.layers.program._used", None)
    monkeypatch.delenv("UVICORN_CHANNEL_LAYER", raising=False)


def test_a_program_that_saves_a_model_goes_on_where_the_layer_is_in_memory(program, monkeypatch, caplog):
    monkeypatch.setattr(backends, "_NOBODY", Nobody())
    layer = layer_of("default", "asgiref.inmemory.ChannelLayer", {})
    for number in range(2):
        Group("notes", channel_layer=layer).send({"text": str(number)})
        Channel("jobs", channel_layer=layer).send({"n": number}, delay=1)
    Group("notes", channel_layer=layer).add("websocket.send!1.1")
    Group("notes", channel_layer=layer).discard("websocket.send!1.1")
    assert layer.group_channels("notes") == []
    [record] = [record for record in caplog.records if record.name == "django.channels"]
    assert "to the group notes reaches nobody" in record.getMessage()
    with pytest.raises(ValueError, match="cannot be the name of"):
        Channel("a b", channel_layer=layer).send({})


def test_what_a_child_of_a_worker_sends_is_not_dropped_where_the_layer_is_in_memory(monkeypatch):
    monkeypatch.setattr(current, "_current", Nobody())
    monkeypatch.setattr(current, "_process", 0)
    layer = layer_of("default", "asgiref.inmemory.ChannelLayer", {})
    with pytest.raises(ChannelLayerUnavailable, match="reaches the workers of one master only"):
        Channel("jobs", channel_layer=layer).send({})


def test_what_a_program_sends_is_not_dropped_where_the_layer_was_for_many_processes(program):
    layer = layer_of("default", "asgi_ipc.IPCChannelLayer", {"prefix": "mysite"})
    with pytest.raises(ChannelLayerUnavailable, match="knows no channel layer"):
        Channel("jobs", channel_layer=layer).send({})
