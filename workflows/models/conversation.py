"""What people and the agent say to each other about a request, without deciding anything."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from hitl.accounts.models import Agent
from hitl.lib.models import Identified


class Remark(Identified):
    """A comment among people, a question to the agent, or its answer. Never changed."""

    class Kind(models.TextChoices):
        COMMENT = "comment", "Comment"
        QUESTION = "question", "Question to the agent"
        ANSWER = "answer", "The agent's answer"

    workflow = models.ForeignKey("workflows.Workflow", models.PROTECT, related_name="remarks")
    round = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=10, choices=Kind)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="remarks"
    )
    agent = models.ForeignKey(Agent, models.PROTECT, null=True, related_name="+")
    text = models.TextField()
    question = models.ForeignKey("self", models.PROTECT, null=True, related_name="answers")
    channel = models.CharField(max_length=20)

    class Meta:
        ordering = ("created_at", "pk")
        constraints = (
            models.CheckConstraint(
                condition=Q(kind="answer", agent__isnull=False, question__isnull=False)
                | Q(kind__in=("comment", "question"), user__isnull=False, question__isnull=True),
                name="agents_answer_and_people_ask",
            ),
        )
        indexes = (models.Index(fields=("workflow", "created_at"), name="remark_of_workflow"),)

    def __str__(self) -> str:
        return f"{self.get_kind_display()} by {self.user or self.agent}"
