"""Django with Channels 4, in one file: a view, and a WebSocket that sends back what it gets."""

import django
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="of a test", DEBUG=False)
django.setup()


def view(request: object) -> HttpResponse:
    return HttpResponse("django")


class Echo(AsyncWebsocketConsumer):  # type: ignore[misc]
    async def receive(self, text_data: str = "", bytes_data: bytes = b"") -> None:
        await self.send(text_data=text_data)


urlpatterns = [path("", view)]
application = ProtocolTypeRouter(
    {"http": get_asgi_application(), "websocket": URLRouter([path("echo", Echo.as_asgi())])}
)
