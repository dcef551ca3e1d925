"""What one command serves: `uvicorn examples.django_mixed.routing:routes`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "examples.django_mixed.settings")

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

# Django is set up by this call: what uses models is imported after it.
django_wsgi = get_wsgi_application()
django_asgi = get_asgi_application()

from examples.django_mixed import consumers
from uvicorn import include, mount, route

# As a Channels 1 project had them.
report_routing = [
    route("http.request", consumers.home, path=r"^/$"),
    route("http.request", consumers.report, path=r"^/(?P<year>\d{4})$"),
]

routes = [
    route("http.request", consumers.events, path=r"^/events$"),
    include(report_routing, path=r"^/reports"),
    mount("/asgi", django_asgi),
    mount("/slow", django_wsgi, pool="slow", threads=2),
    mount("/", django_wsgi),
]
