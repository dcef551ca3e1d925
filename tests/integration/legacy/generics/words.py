from channels.exceptions import ConsumeLater, DenyConnection

tries = []


def hello(message, who):
    message.reply_channel.send({"text": "hello, I am not %s" % who})


def first(message):
    message.reply_channel.send({"text": "early: %s" % message["text"]})


def other(message):
    message.reply_channel.send({"text": "other: %s" % message["text"]})


def deny(message):
    raise DenyConnection()


def twice(message):
    tries.append(message)
    if len(tries) < 3:
        raise ConsumeLater()
    message.reply_channel.send({"text": "tried %s times" % len(tries)})
    del tries[:]
