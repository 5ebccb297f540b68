"""What was counted of each day: requests and answers, for statistics that stay fast.

Written by `workflows.statistics` alone, always a whole day at a time. `day` is the UTC day on which
a request was created, whenever it was decided.
"""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from hitl.accounts.models import Agent, Team
from workflows.models.workflow import doors
from workflows.statistics import spread


class CountedDay(models.Model):
    """One day of a team. `due_at`: since when its counts are out of date; empty where they hold.

    Days that take long to count rest a while in between.
    """

    team = models.ForeignKey(Team, models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    due_at = models.DateTimeField(null=True)
    rests_until = models.DateTimeField(null=True)
    counted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("team", "day"), name="day_of_team"),)
        indexes = (
            models.Index(fields=("day",), condition=Q(due_at__isnull=False), name="day_due"),
            models.Index(fields=("counted_at",), name="day_counted"),
        )

    def __str__(self) -> str:
        return f"{self.day} of {self.team}"


class RequestCount(models.Model):
    """The requests of one day, agent, action type and door that the verdict came through.

    Each request is in exactly one of pending … cancelled. `channel` is empty where nobody decided;
    rules and silence are doors of their own. `view_…` spreads the seconds to the first look,
    `verdict_…` those to the verdict; their columns are added below.
    """

    team = models.ForeignKey(Team, models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="+")
    action_type = models.CharField(max_length=100)
    channel = models.CharField(max_length=20, choices=doors, blank=True)

    pending = models.PositiveIntegerField(default=0)
    approved = models.PositiveIntegerField(default=0)
    modified = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    timed_out = models.PositiveIntegerField(default=0)
    cancelled = models.PositiveIntegerField(default=0)
    completed = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    unknown = models.PositiveIntegerField(default=0)
    view_seconds = models.BigIntegerField(default=0)
    verdict_seconds = models.BigIntegerField(default=0)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("team", "day", "agent", "action_type", "channel"), name="one_request_count"
            ),
        )

    def __str__(self) -> str:
        return f"{self.action_type} on {self.day}"


class ApproverCount(models.Model):
    """What the requests of one day meant for one person, by the door they answered through.

    `asked`, `viewed` and `answered` are requests; `approved` … `for_others` are answers. `channel`
    is empty where they have not answered. `answer_…` spreads the seconds from being asked to the
    answer.
    """

    team = models.ForeignKey(Team, models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    channel = models.CharField(max_length=20, choices=doors, blank=True)

    asked = models.PositiveIntegerField(default=0)
    viewed = models.PositiveIntegerField(default=0)
    answered = models.PositiveIntegerField(default=0)
    approved = models.PositiveIntegerField(default=0)
    modified = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    for_others = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    answer_seconds = models.BigIntegerField(default=0)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("team", "day", "user", "channel"), name="one_approver_count"
            ),
        )

    def __str__(self) -> str:
        return f"{self.user} on {self.day}"


class CountMark(models.Model):
    """How far the feed of all events has been read: one row, behind this event."""

    xid = models.BigIntegerField()
    event_id = models.BigIntegerField()
    swept_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"read up to {self.xid}-{self.event_id}"


def _spread_over(model: type[models.Model], prefix: str) -> None:
    """Give a table the columns of a spread."""
    for name in spread.columns(prefix):
        field: models.Field[Any, Any] = models.PositiveIntegerField(default=0)
        model.add_to_class(name, field)


_spread_over(RequestCount, "view")
_spread_over(RequestCount, "verdict")
_spread_over(ApproverCount, "answer")
