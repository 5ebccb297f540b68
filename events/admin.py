"""Admin pages of the log: to be found and read, never to be edited."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter
from unfold.decorators import display

from events.models import Event, EventStream
from events.proof.models import Checkpoint
from events.restores.models import Confirmation, Restore
from events.webhooks import admin as webhooks
from hitl.admin_tools import ReadOnlyAdmin, ReadOnlyInline, code, json_block, link

__all__ = (
    "CheckpointAdmin",
    "ConfirmationAdmin",
    "EventAdmin",
    "EventStreamAdmin",
    "RestoreAdmin",
    "webhooks",
)  # imported, its pages are registered


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """What happened. Each event carries the complete state after it and its predecessor's hash."""

    list_display = ("timestamp", "what", "seq", "workflow_link", "status", "who", "source", "team")
    list_display_links = ("timestamp", "what")
    list_filter = (
        ("timestamp", RangeDateTimeFilter),
        ("type", ChoicesDropdownFilter),
        ("source", ChoicesDropdownFilter),
        "team",
    )
    list_filter_submit = True
    list_select_related = ("workflow", "team")
    ordering = ("-id",)
    search_fields = ("type", "workflow__name", "actor", "hash")
    id_fields = ("workflow",)
    fields = (
        "what", "seq", "timestamp", "workflow_link", "team", "status", "round", "who", "source",
        "data_shown", "state_shown", "hash_shown", "previous_hash_shown",
    )  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        rows: QuerySet[Event] = super().get_queryset(request)
        # A list of a thousand events must not read a thousand complete states.
        return rows.defer("state_snapshot", "workflow__action_data", "workflow__ui_schema")

    @display(description="Event", ordering="type")
    def what(self, event: Event) -> str:
        return event.type

    @display(description="Workflow", ordering="workflow__name")
    def workflow_link(self, event: Event) -> str:
        return link(event.workflow)

    @display(description="Who")
    def who(self, event: Event) -> str:
        return f"{event.actor['name']} ({event.actor['kind']})"

    @display(description="Data")
    def data_shown(self, event: Event) -> str:
        return json_block(event.data)

    @display(description="State after it")
    def state_shown(self, event: Event) -> str:
        return json_block(event.state_snapshot)

    @display(description="Hash")
    def hash_shown(self, event: Event) -> str:
        return code(event.hash)

    @display(description="Hash of the event before")
    def previous_hash_shown(self, event: Event) -> str:
        return code(event.previous_hash)


@admin.register(EventStream)
class EventStreamAdmin(ReadOnlyAdmin):
    """The head of each request's log."""

    list_display = ("workflow_link", "team", "last_seq", "last_timestamp", "head")
    list_filter = ("team",)
    list_select_related = ("workflow", "team")
    ordering = ("-last_timestamp",)
    search_fields = ("workflow__name", "head_hash")
    fields = ("workflow_link", "team", "last_seq", "last_timestamp", "head")
    readonly_fields = fields

    @display(description="Workflow", ordering="workflow__name")
    def workflow_link(self, stream: Any) -> str:
        return link(stream.workflow)

    @display(description="Newest hash")
    def head(self, stream: EventStream) -> str:
        return code(stream.head_hash)


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnlyAdmin):
    """What was signed over the heads of all logs; `manage.py verify` checks it."""

    list_display = ("number", "made_at", "kid", "hash_shown")
    ordering = ("-number",)
    search_fields = ("hash", "kid")
    fields = ("number", "made_at", "kid", "hash_shown", "body_shown", "totals_shown", "signed")
    readonly_fields = fields

    @display(description="Hash")
    def hash_shown(self, checkpoint: Checkpoint) -> str:
        return code(checkpoint.hash)

    @display(description="Signed content")
    def body_shown(self, checkpoint: Checkpoint) -> str:
        return code(checkpoint.body)

    @display(description="Totals")
    def totals_shown(self, checkpoint: Checkpoint) -> str:
        return code(checkpoint.totals)

    @display(description="Signature (Ed25519)")
    def signed(self, checkpoint: Checkpoint) -> str:
        return code(checkpoint.signature)


@admin.register(Confirmation)
class ConfirmationAdmin(ReadOnlyAdmin):
    """What people found out about requests after a backup was restored."""

    list_display = ("confirmed_at", "workflow_link", "outcome", "user", "reason")
    list_display_links = ("confirmed_at",)
    list_filter = ("outcome",)
    list_select_related = ("workflow", "user")
    ordering = ("-pk",)
    search_fields = ("workflow__name", "reason")
    id_fields = ("workflow",)
    fields = ("restore", "workflow_link", "outcome", "user", "reason", "confirmed_at")
    readonly_fields = fields

    @display(description="Workflow", ordering="workflow__name")
    def workflow_link(self, confirmation: Confirmation) -> str:
        return link(confirmation.workflow)


class Confirmations(ReadOnlyInline):
    model = Confirmation
    fields = ("workflow", "outcome", "user", "reason", "confirmed_at")
    readonly_fields = fields


@admin.register(Restore)
class RestoreAdmin(ReadOnlyAdmin):
    """Each time that the database turned out to be a restored one: `manage.py reconcile`."""

    list_display = ("created_at", "why", "is_open", "ended_at", "ended_by")
    list_filter = ("is_open",)
    list_select_related = ("ended_by",)
    ordering = ("-created_at",)
    search_fields = ("why", "note")
    fields = (
        "created_at", "why", "evidence", "newest_event", "is_open", "ended_at", "ended_by", "note",
    )  # fmt: skip
    readonly_fields = fields
    inlines = (Confirmations,)
