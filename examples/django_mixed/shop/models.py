"""One table."""

from django.db import models


class Note(models.Model):
    """A line that somebody wrote."""

    text = models.CharField(max_length=200)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("id",)

    def __str__(self):
        return self.text
