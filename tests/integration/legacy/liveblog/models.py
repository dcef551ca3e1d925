import json

from channels import Group
from django.db import models


class Liveblog(models.Model):
    slug = models.SlugField()

    @property
    def group_name(self):
        return "liveblog-%s" % self.id


class Post(models.Model):
    liveblog = models.ForeignKey(Liveblog, related_name="posts", on_delete=models.CASCADE)
    body = models.TextField()

    def send_notification(self):
        notification = {"id": self.id, "html": "<p>%s</p>" % self.body}
        Group(self.liveblog.group_name).send({"text": json.dumps(notification)})

    def save(self, *args, **kwargs):
        result = super(Post, self).save(*args, **kwargs)
        self.send_notification()
        return result
