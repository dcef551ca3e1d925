from channels.routing import route

from . import consumers

channel_routing = [
    route("answers", consumers.answer),
    route("http.request", consumers.connections, path="^/connections$"),
    route("websocket.connect", "channels.routing.connect_consumer", path="^/remind"),
    route("websocket.receive", consumers.remind, path="^/remind"),
    route("reminders", consumers.reminder),
]
