"""What a BACKEND of CHANNEL_LAYERS stands for."""

import pytest

from uvicorn.channels1.asgi import InvalidChannelLayerError
from uvicorn.channels1.backends import layer_of

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
