from channels.routing import route
from channels.routing import null_consumer

from . import consumers

http_routing = [
    route("http.request", consumers.http_consumer, path=r"^/hello"),
]

websocket_routing = [
    route(b"websocket.connect", "channels.routing.connect_consumer", path=b"^/echo$"),
    route(b"websocket.receive", consumers.ws_message, path=b"^/echo$"),
    route("websocket.connect", consumers.ws_add, path=r"^/group$"),
    route("websocket.receive", consumers.ws_group_message, path=r"^/group$"),
    route("websocket.disconnect", consumers.ws_disconnect, path=r"^/group$"),
    route("websocket.connect", "legacy.started.consumers.ws_connect_to_room", path=r"^/room/\w+$"),
    route("websocket.receive", "legacy.started.consumers.ws_message_to_room", path=r"^/room/\w+$"),
    route("websocket.disconnect", "legacy.started.consumers.ws_disconnect_from_room", path=r"^/room/\w+$"),
    route("websocket.connect", consumers.ws_add_user, path=r"^/user$"),
    route("websocket.receive", consumers.ws_message_of_user, path=r"^/user$"),
    route("websocket.disconnect", consumers.ws_disconnect_of_user, path=r"^/user$"),
    route("websocket.connect", consumers.ws_add_allowed, path=r"^/allowed$"),
    route("websocket.connect", consumers.ws_add_ordered, path=r"^/ordered$"),
    route("websocket.receive", consumers.ws_message_ordered, path=r"^/ordered$"),
    route(["websocket.receive", "websocket.disconnect"], null_consumer, path="^/allowed$"),
]

background_routing = {
    "chat-messages": "legacy.started.consumers.msg_consumer",
}
