class ClientError(Exception):
    """What the client did wrong: it is told the code."""

    def __init__(self, code):
        super(ClientError, self).__init__(code)
        self.code = code

    def send_to(self, channel):
        import json

        channel.send({"text": json.dumps({"error": self.code})})
