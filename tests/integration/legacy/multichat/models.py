import json

from channels import Group
from django.db import models


class Room(models.Model):
    """A room to chat in."""

    title = models.CharField(max_length=255)
    staff_only = models.BooleanField(default=False)

    def __str__(self):
        return self.title

    @property
    def websocket_group(self):
        """The group of the sockets in this room."""
        return Group("room-%s" % self.id)

    def send_message(self, message, user, msg_type=0):
        final_msg = {"room": str(self.id), "message": message, "username": user.username, "msg_type": msg_type}
        self.websocket_group.send({"text": json.dumps(final_msg)})
