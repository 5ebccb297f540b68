"""Query parameters: an allow-list per operation. What is not on it is refused, never ignored.

Nothing a client names ever becomes a look-up: names and values are mapped here one by one.
"""

import re
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import QueryDict
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from events.feed import Position
from hitl.lib.errors import FieldError, InvalidInput
from workflows.api import errors
from workflows.api.event_serializers import event_types
from workflows.api.fields import Choice, Moment, Strict
from workflows.models import Status

UUID_FORM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
MAX_PAGE, DEFAULT_PAGE = 100, 25
LAST_SEQ = 2**31 - 1
LATEST = "latest"
POSITION = "(0|[1-9][0-9]{0,17})-(0|[1-9][0-9]{0,17})"


def parse_uuid(text: str) -> UUID:
    """A UUID as RFC 9562 writes it. Raises ValueError for the other spellings Python knows."""
    if not UUID_FORM.fullmatch(text):
        raise ValueError("not a UUID")
    return UUID(text)


class Number(serializers.IntegerField):
    """Digits."""

    def to_internal_value(self, data: Any) -> int:
        if not re.fullmatch(r"[0-9]{1,10}", str(data), re.ASCII):
            self.fail("invalid")
        return int(data)


@extend_schema_field({"type": "string", "format": "uuid"})
class Id(serializers.CharField):
    """A UUID."""

    def to_internal_value(self, data: Any) -> UUID:  # type: ignore[override]  # gives no text
        try:
            return parse_uuid(str(data))
        except ValueError:
            raise serializers.ValidationError("Send a UUID.") from None


class Instant(Moment):
    """An RFC 3339 time; a `+` that nobody encoded arrives as a space and is taken for one."""

    def to_internal_value(self, value: Any) -> Any:
        return super().to_internal_value(str(value).replace(" ", "+"))


class Query(Strict):
    """No parameters; others are added by subclasses."""


class WorkflowListQuery(Query):
    """Filters of the list."""

    status = serializers.ListField(
        child=Choice(choices=Status.choices),
        required=False,
        max_length=len(Status),
        help_text="Any of these; give the parameter once for each.",
    )
    actionType = serializers.CharField(required=False, max_length=100)
    agentId = Id(required=False)
    createdAfter = Instant(required=False, help_text="Exclusive.")
    createdBefore = Instant(required=False, help_text="Exclusive.")
    limit = Number(required=False, min_value=1, max_value=MAX_PAGE, default=DEFAULT_PAGE)
    cursor = serializers.CharField(required=False, help_text="From `nextCursor`.")


class WorkflowGetQuery(Query):
    """How long to wait for what."""

    wait = Number(
        required=False,
        min_value=0,
        max_value=settings.LONG_POLL_SECONDS,
        default=0,
        help_text="Seconds to wait for the change that `until` names; the answer comes at once "
        "when it has happened, and as things stand when the time is over.",
    )
    until = Choice(
        choices=(
            ("decided", "The request is no longer PENDING"),
            ("settled", "REJECTED, TIMEOUT, CANCELLED, COMPLETED or FAILED"),
            ("asked", "A question waits for the agent, or the request is no longer PENDING"),
        ),
        required=False,
        default="decided",
    )


class EventListQuery(Query):
    """Which part of the timeline."""

    after = Number(
        required=False, min_value=0, max_value=LAST_SEQ, default=0, help_text="Events above this."
    )
    limit = Number(required=False, min_value=1, max_value=MAX_PAGE, default=MAX_PAGE)


@extend_schema_field({"type": "string", "pattern": f"^({LATEST}|{POSITION})$"})
class Cursor(serializers.CharField):
    """A place in the feed; `latest` is the one behind everything there is."""

    default_error_messages = {
        "unknown": "This is no cursor of the feed. Send `next` or an event's `cursor` as it came, "
        "`latest` for what happens from now on, or nothing for everything."
    }

    def to_internal_value(self, data: Any) -> Position | None:  # type: ignore[override]  # no text
        if data == LATEST:
            return None
        try:
            return Position.parse(str(data))
        except ValueError:
            self.fail("unknown")


MAX_TYPES = len(event_types())


def event_type() -> Choice:
    """The name of an event."""
    return Choice(choices=[(name, name) for name in event_types()])


class StreamQuery(Query):
    """What to follow, and from where."""

    after = Cursor(
        required=False,
        help_text="`next` of a page, or an event's `cursor`; `latest` is the place behind all that "
        "has happened. Left out: from the very first event.",
    )
    type = serializers.ListField(
        child=event_type(),
        required=False,
        max_length=MAX_TYPES,
        help_text="Any of these; give the parameter once for each.",
    )
    workflowId = Id(required=False)


class FeedQuery(StreamQuery):
    """Which part of the feed, and whether to wait for it."""

    limit = Number(required=False, min_value=1, max_value=MAX_PAGE, default=MAX_PAGE)
    wait = Number(
        required=False,
        min_value=0,
        max_value=settings.LONG_POLL_SECONDS,
        default=0,
        help_text="Seconds to wait for the first event where there is none yet; the page is empty "
        "when the time is over.",
    )


class StateDiffQuery(Query):
    """Which two states."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """`from` is no name that a class body could have."""
        one: dict[str, Any] = {"min_value": 1, "max_value": LAST_SEQ}
        return {
            "from": Number(**one, help_text="The `seq` of the state to start from."),
            "to": Number(**one, help_text="The `seq` of the state to compare it with."),
        }


class DeliveryListQuery(Query):
    """Which part of the list."""

    limit = Number(required=False, min_value=1, max_value=MAX_PAGE, default=MAX_PAGE)
    cursor = serializers.CharField(required=False, help_text="From `nextCursor`.")


class ActionTypeListQuery(Query):
    """Which part of the list."""

    limit = Number(required=False, min_value=1, max_value=MAX_PAGE, default=DEFAULT_PAGE)
    cursor = serializers.CharField(required=False, help_text="From `nextCursor`.")


def read(kind: type[Query], parameters: QueryDict) -> dict[str, Any]:
    """The validated parameters. Raises InvalidInput naming each that is unknown or wrong."""
    query = kind(data=_plain(kind, parameters))
    if not query.is_valid():
        found = [
            FieldError(f"?{error.pointer[1:]}", error.message, error.code)
            for error in errors.field_errors(query.errors)
        ]
        raise InvalidInput(f"At {found[0].pointer}: {found[0].message}", found)
    values: dict[str, Any] = query.validated_data
    return values


def _plain(kind: type[Query], parameters: QueryDict) -> dict[str, Any]:
    """One value each, but for lists. Raises InvalidInput where one was given twice."""
    fields = kind().fields
    plain: dict[str, Any] = {}
    for name, values in parameters.lists():
        is_list = isinstance(fields.get(name), serializers.ListField)
        if len(values) > 1 and name in fields and not is_list:
            message = "Give this parameter once."
            raise InvalidInput(f"At ?{name}: {message}", [FieldError(f"?{name}", message)])
        plain[name] = values if is_list else values[-1]
    return plain
