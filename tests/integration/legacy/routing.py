from channels import include

channel_routing = [
    include("legacy.started.routing.http_routing", path=r"^/started"),
    include("legacy.started.routing.websocket_routing", path=r"^/started"),
    include("legacy.started.routing.background_routing"),
    include("legacy.multichat.routing.websocket_routing", path=r"^/chat/stream"),
    include("legacy.multichat.routing.custom_routing"),
    include("legacy.liveblog.routing.channel_routing"),
    include("legacy.binding.routing.channel_routing"),
    include("legacy.generics.routing.channel_routing"),
    include("legacy.later.routing.channel_routing"),
]
