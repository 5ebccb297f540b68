"""Signs of life and of work: rows, for Redis may lose what is in it, and the watchdog must not."""

from django.db import models


class Pulse(models.Model):
    """When a part of the server that nobody calls was last alive, by the database's clock."""

    name = models.CharField(max_length=60, primary_key=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class TaskCount(models.Model):
    """The runs of one task so far, over all workers, and when some of them were last added."""

    task = models.CharField(max_length=100, primary_key=True)
    runs = models.BigIntegerField(default=0)
    failures = models.BigIntegerField(default=0)
    seconds = models.FloatField(default=0)
    at = models.DateTimeField()

    class Meta:
        ordering = ("task",)

    def __str__(self) -> str:
        return self.task
