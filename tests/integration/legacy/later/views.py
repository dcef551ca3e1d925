"""A view that leaves its response to a consumer, and a message that comes later."""

from channels import Channel


def later(request):
    Channel("answers").send({"reply_channel": request.reply_channel.name, "text": request.GET["text"]})
    raise request.ResponseLater()
