"""Everything under one command: Django both ways, Flask, FastAPI, consumers."""

from examples.django_mixed.routing import routes as django_routes
from examples.mix import ping, service, shop
from uvicorn import mount, route

routes = [
    route("http.request", ping, path="^/ping$"),
    mount("/api", service),
    mount("/shop", shop, pool="shop", threads=4),
    mount("/django", django_routes),
]
