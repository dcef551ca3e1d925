"""A request that asks for a socket: who is to have it. Loop thread only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.raw_socket import waiting_consumer
from uvicorn.connections.exchange import Exchange
from uvicorn.connections.handshake import Handshake
from uvicorn.connections.intake import PIPELINE
from uvicorn.connections.socket import WebSocket
from uvicorn.connections.upgrade import Upgradable
from uvicorn.messages import Headers, Message, websocket_connect
from uvicorn.wire.opening import Refusal, open_codec

__all__ = ["begin_raw_socket", "begin_socket"]


def begin_socket(
    connection: Upgradable,
    exchange: Exchange,
    message: Message,
    offered: Headers | None = None,
    speak_raw: Callable[[], None] | None = None,
) -> Any:
    """Begin a handshake: check it, and call the consumer of `websocket.connect`.

    Args:
        offered: the header fields of the handshake over HTTP/1.1, where those of the message are others.
        speak_raw: called before a WSGI application gets the connection, where that is none of HTTP/1.1.

    Returns: the protocol that takes what the client sends from now on; None if the handshake was refused at once.
    """
    service = connection.service
    path = exchange.request_line.path
    exchange.is_request_complete = True
    exchange.persists = False
    consumer = service.application.find("websocket.connect", path, message)
    codec = open_codec(message["headers"] if offered is None else offered, service.limits.sockets)
    if isinstance(codec, Refusal):
        service.log_of(exchange).debug("%d to a WebSocket handshake: %s", codec.status, exchange.shown_line)
        exchange.reply((codec.status, codec.fields, codec.content, False))
        return None
    if service.is_stopping:
        exchange.answer(503, retry_after=1)
        return None
    if consumer is None:
        other = service.application.find("http.request", path, message)
        if other is not None and getattr(other.target, "takes_raw_sockets", False):
            if offered is not None:
                message["method"], message["headers"] = "GET", offered
            if speak_raw is not None:
                speak_raw()
            return begin_raw_socket(connection, exchange, other, message)
        service.log_of(exchange).info("403 to a WebSocket handshake: %s: no route for it", exchange.shown_line)
        exchange.answer(403)
        return None
    socket = WebSocket(connection, codec, message)
    service.sockets.add(socket)
    exchanges = connection.pipeline.exchanges
    socket.handshake = exchanges[-1] = Handshake(exchange, socket)
    connection.transport.set_protocol(socket)
    socket.inbound.wait()
    connection.intake.release(PIPELINE)
    socket.connect(consumer, websocket_connect(message, codec.subprotocols))
    return socket


def begin_raw_socket(connection: Upgradable, exchange: Exchange, consumer: Consumer, message: Message) -> Any:
    """Call a WSGI application that may want the connection for itself.

    Returns: the protocol that takes what the client sends from now on; None if it is refused at once.
    """
    service = connection.service
    pool = service.dispatcher.pool if consumer.pool is None else consumer.pool
    most = min(service.limits.sockets.wsgi_sockets, pool.threads - 1)  # one thread is for pages
    taken = service.raw_sockets
    for over in [each for each in taken if each.is_over]:
        taken.discard(over)
    if len(taken) >= most:
        if most > 0:
            exchange.refuse(503, f"{most} raw sockets are open (wsgi_sockets)", retry_after=1, setting="wsgi_sockets")
            return None
        service.log_of(exchange).info(
            "403 to a WebSocket handshake: %s: no thread is left for a raw socket (wsgi_sockets is %d, threads is %d)",
            exchange.shown_line,
            service.limits.sockets.wsgi_sockets,
            pool.threads,
        )
        exchange.answer(403)
        return None
    from uvicorn.connections.raw_socket import RawSocket  # few applications want it

    try:
        socket = RawSocket(connection, exchange)
    except OSError as error:
        service.log_of(exchange).error("No raw socket: %s: %s", error, exchange.shown_line)
        exchange.answer(503, retry_after=1)
        return None
    taken.add(socket)
    service.sockets.add(socket)
    handshake = socket.handshake
    connection.pipeline.exchanges[-1] = handshake
    connection.transport.set_protocol(socket)
    connection.intake.hand_over(socket.take, socket.on_taken)
    connection.intake.release(PIPELINE)
    handshake.consumer = consumer  # what it raises is counted with its pages
    message["raw_socket"] = socket.end
    service.dispatcher.dispatch(waiting_consumer(consumer), message, handshake)
    socket.job = handshake.job
    return socket
