from channels import route, route_class

from . import consumers

channel_routing = [
    route_class(consumers.MyConsumer, path=r"^/generic/(?P<number>\d+)"),
    consumers.SessionConsumer.as_route(path=r"^/session$"),
    route_class(consumers.JsonConsumer, path="^/json"),
    route_class(consumers.Demultiplexer, path="^/streams"),
    consumers.Page.as_route(path=r"^/page/(?P<number>\d+)$"),
    consumers.Page.as_route(path=r"^/other/(?P<number>\d+)$", attrs={"greeting": "other"}),
    # Patterns on what a frame says
    route("websocket.connect", "channels.routing.connect_consumer", path="^/words"),
    route("websocket.receive", "legacy.generics.words.hello", path="^/words", text=r"^hello (?P<who>\w+)$"),
    route("websocket.receive", "legacy.generics.words.first", path="^/words", order="^[12]$"),
    route("websocket.receive", "legacy.generics.words.other", path="^/words"),
    route("websocket.connect", "legacy.generics.words.deny", path="^/deny"),
    route("websocket.connect", "legacy.generics.words.twice", path="^/twice"),
]
