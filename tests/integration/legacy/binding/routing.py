from channels.routing import route_class

from .bindings import Demultiplexer

channel_routing = [
    route_class(Demultiplexer, path="^/binding/"),
]
