import os

SECRET_KEY = "secret for the tests of a project of Channels 1"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "example.org"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "channels",
    "channels.delay",
    "legacy.started",
    "legacy.multichat",
    "legacy.liveblog",
    "legacy.binding",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
CHANNELS_WS_PROTOCOLS = ["graphql-ws", "other"]
STATIC_URL = "/static/"
ROOT_URLCONF = "legacy.urls"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SQLITE_PATH", ":memory:"),
        "OPTIONS": {"timeout": 60},
    }
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "asgiref.inmemory.ChannelLayer",
        "ROUTING": "legacy.routing.channel_routing",
    },
}
if "REDIS_URL" in os.environ:
    CHANNEL_LAYERS["default"]["BACKEND"] = "asgi_redis.RedisChannelLayer"
    CHANNEL_LAYERS["default"]["CONFIG"] = {"hosts": [os.environ["REDIS_URL"]], "prefix": "legacy"}
