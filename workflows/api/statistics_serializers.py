"""The shape of statistics on the wire, and the parameters that choose them."""

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from workflows.api.fields import Choice
from workflows.api.queries import Id, Query

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
Shape = serializers.Serializer[Mapping[str, Any]]


@extend_schema_field({"type": "string", "format": "date"})
class Day(serializers.CharField):
    """A day as RFC 3339 writes it."""

    def to_internal_value(self, data: Any) -> dt.date:  # type: ignore[override]  # gives no text
        try:
            if not _DAY.fullmatch(str(data)):
                raise ValueError("not a day")
            return dt.date.fromisoformat(str(data))
        except ValueError:
            raise serializers.ValidationError("Send a day, like 2026-11-23.") from None


class StatisticsQuery(Query):
    """Which period, of whom, by what."""

    groupBy = Choice(
        choices=(
            ("day", "By the day on which requests were created"),
            ("agent", "By agent"),
            ("actionType", "By action type"),
            ("channel", "By the door of the verdict; rules and silence are doors of their own"),
            ("approver", "By person: what they were asked and answered"),
        ),
        required=False,
        default="day",
    )
    agentId = Id(required=False)
    actionType = serializers.CharField(required=False, max_length=100)
    teamId = Id(required=False, help_text="One of your teams; without it, all of them.")

    def get_fields(self) -> dict[str, Any]:
        """With `from`, which Python keeps for itself."""
        first = Day(required=False, help_text="First day (UTC). Default: 29 days before the last.")
        last = Day(required=False, help_text="Last day (UTC). Default: today.")
        return {"from": first, "to": last, **super().get_fields()}


class BucketSerializer(Shape):
    """Durations of at least `from` and less than `to` seconds; null: without end."""

    count = serializers.IntegerField()

    def get_fields(self) -> dict[str, Any]:
        low, high = serializers.IntegerField(), serializers.IntegerField(allow_null=True)
        return {"from": low, "to": high, **super().get_fields()}


class QuantileSerializer(Shape):
    """An estimate in seconds; certain is only the bucket it lies in."""

    seconds = serializers.IntegerField()

    def get_fields(self) -> dict[str, Any]:
        low, high = serializers.IntegerField(), serializers.IntegerField(allow_null=True)
        return {**super().get_fields(), "from": low, "to": high}


class DurationsSerializer(Shape):
    """Some durations. The mean is exact, p50 and p90 are estimated from the histogram."""

    count = serializers.IntegerField()
    meanSeconds = serializers.IntegerField(allow_null=True, help_text="null: there are none.")
    p50 = QuantileSerializer(allow_null=True)
    p90 = QuantileSerializer(allow_null=True)
    histogram = BucketSerializer(many=True)


class RequestNumbersSerializer(Shape):
    """Some requests: each is in exactly one of pending, byPeople, byRule, bySilence, timedOut and
    cancelled. Rates are shares between 0 and 1, null where they would be shares of nothing."""

    requests = serializers.IntegerField()
    pending = serializers.IntegerField()
    byPeople = serializers.IntegerField(help_text="approved + modified + rejected.")
    approved = serializers.IntegerField(help_text="By people, as it was asked.")
    modified = serializers.IntegerField(help_text="By people, with edits.")
    rejected = serializers.IntegerField(help_text="By people.")
    byRule = serializers.IntegerField(help_text="Decided by a rule, without a person.")
    ruleApproved = serializers.IntegerField()
    ruleRejected = serializers.IntegerField()
    bySilence = serializers.IntegerField(help_text="Approved because nobody answered in time.")
    timedOut = serializers.IntegerField(help_text="Ended because nobody answered in time.")
    cancelled = serializers.IntegerField(help_text="Withdrawn by the agent.")
    completed = serializers.IntegerField(help_text="Of what was approved: carried out.")
    failed = serializers.IntegerField()
    unknown = serializers.IntegerField()
    approvalRate = serializers.FloatField(
        allow_null=True, help_text="(approved + modified) / byPeople."
    )
    editRate = serializers.FloatField(
        allow_null=True, help_text="modified / (approved + modified)."
    )
    rejectionRate = serializers.FloatField(allow_null=True, help_text="rejected / byPeople.")
    timeoutRate = serializers.FloatField(
        allow_null=True, help_text="timedOut / (byPeople + bySilence + timedOut)."
    )
    ruleRate = serializers.FloatField(
        allow_null=True, help_text="byRule / (byPeople + byRule + bySilence)."
    )
    timeToFirstView = DurationsSerializer()
    timeToDecision = DurationsSerializer(help_text="Of verdicts of people.")


class LoadSerializer(Shape):
    """What requests meant for one person. asked, viewed and answered count requests; approved,
    modified, rejected and forOthers count answers, of which one request can take several."""

    asked = serializers.IntegerField()
    viewed = serializers.IntegerField()
    answered = serializers.IntegerField()
    approved = serializers.IntegerField()
    modified = serializers.IntegerField()
    rejected = serializers.IntegerField()
    forOthers = serializers.IntegerField(help_text="Given in somebody else's place.")
    refused = serializers.IntegerField(help_text="Attempts that were refused.")
    answerRate = serializers.FloatField(allow_null=True, help_text="answered / asked.")
    timeToAnswer = DurationsSerializer()


class GroupSerializer(Shape):
    """One group: `requests` is null for approvers, `load` for all others."""

    key = serializers.CharField(
        allow_blank=True, help_text="An id, a day, a name; empty: nobody decided."
    )
    name = serializers.CharField(allow_blank=True)
    requests = RequestNumbersSerializer(allow_null=True)
    load = LoadSerializer(allow_null=True)


class StatisticsSerializer(Shape):
    """A period in numbers."""

    groupBy = serializers.CharField()
    total = RequestNumbersSerializer()
    load = LoadSerializer(
        allow_null=True,
        help_text="Of everybody together; null for agents, and where agentId or actionType is set.",
    )
    items = GroupSerializer(many=True)
    more = serializers.IntegerField(help_text="Groups beyond the 500 busiest; `total` has them.")
    asOf = serializers.DateTimeField(
        allow_null=True,
        help_text="Changes until then are counted, usually within half a minute; null: none yet.",
    )

    def get_fields(self) -> dict[str, Any]:
        return {
            "from": serializers.DateField(),
            "to": serializers.DateField(),
            **super().get_fields(),
        }
