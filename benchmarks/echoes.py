"""The same echo of WebSocket messages for each kind of server; `GET /` says that it is ready."""

PAGE = b"Hello, world!"


async def asynchronous(message):
    if message["channel"] == "websocket.receive":
        text = message["text"]
        await message["reply_channel"].send({"text": text} if text is not None else {"bytes": message["bytes"]})
    elif message["channel"] == "websocket.connect":
        message["reply_channel"].send({"accept": True})
    elif message["channel"] == "http.request":
        message["reply_channel"].send({"status": 200, "content": PAGE})


def synchronous(message):
    if message["channel"] == "websocket.receive":
        text = message["text"]
        message["reply_channel"].send({"text": text} if text is not None else {"bytes": message["bytes"]})
    elif message["channel"] == "websocket.connect":
        message["reply_channel"].send({"accept": True})
    elif message["channel"] == "http.request":
        message["reply_channel"].send({"status": 200, "content": PAGE})


async def asgi(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"13")]})
        await send({"type": "http.response.body", "body": PAGE})
        return
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            return
        text = event.get("text")
        if text is not None:
            await send({"type": "websocket.send", "text": text})
        else:
            await send({"type": "websocket.send", "bytes": event["bytes"]})
