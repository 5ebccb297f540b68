"""Admin pages of webhooks: every team's endpoints and logs; secrets are never shown."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter
from unfold.decorators import action, display

from events.webhooks import endpoints, replays
from events.webhooks.models import WebhookAttempt, WebhookEndpoint, WebhookMessage, WebhookSecret
from hitl.admin_tools import ReadOnlyAdmin, change_url, gone, json_block, link
from hitl.lib import canonical
from hitl.lib.errors import HitlError

STATUS_LABELS = {"Pending": "info", "Delivered": "success", "Failed": "danger", "Cancelled": ""}
ON, OFF = "On", "Off"


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ReadOnlyAdmin):
    """Where a team is posted to. The one without a team is the environment's."""

    list_display = ("url", "team", "state", "disabled_reason", "first_failure_at", "created_at")
    list_filter = ("is_active", ("disabled_reason", ChoicesDropdownFilter), "team")
    list_select_related = ("team", "created_by")
    search_fields = ("url", "description")
    fields = (
        "url", "team", "description", "events_shown", "body_format", "state", "disabled_reason",
        "disabled_at", "first_failure_at", "failures", "rests_until", "notice_due_at",
        "created_by", "created_at", "updated_at", "id",
    )  # fmt: skip
    readonly_fields = fields
    actions_detail = ("switch_on", "switch_off")

    @display(description="State", ordering="is_active", label={ON: "success", OFF: "danger"})
    def state(self, endpoint: WebhookEndpoint) -> str:
        return ON if endpoint.is_active else OFF

    @display(description="Events")
    def events_shown(self, endpoint: WebhookEndpoint) -> str:
        return ", ".join(endpoint.events) or "All"

    def has_switch_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("events.change_webhookendpoint"))

    @action(description="Switch on", icon="play_arrow", permissions=["switch"])
    def switch_on(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """With a clean slate; what was parked can be replayed."""
        return self._switch(request, object_id, is_active=True)

    @action(description="Switch off", icon="pause", permissions=["switch"])
    def switch_off(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Send nothing more there."""
        return self._switch(request, object_id, is_active=False)

    def _switch(self, request: HttpRequest, object_id: str, *, is_active: bool) -> HttpResponse:
        endpoint = self.get_object(request, object_id)
        if endpoint is None:
            return gone(self, request, object_id)
        words = "Switch on" if is_active else "Switch off"
        if request.method != "POST":
            page = {"title": f"{words} this endpoint?", "button": words}
            return self.confirm(request, endpoint, forms.Form(), **page)
        endpoints.change(endpoint.pk, {"is_active": is_active})
        self.log_change(request, endpoint, f"{words}.")
        messages.success(request, f"{endpoint.url}: switched {'on' if is_active else 'off'}.")
        return HttpResponseRedirect(change_url(endpoint))


@admin.register(WebhookMessage)
class WebhookMessageAdmin(ReadOnlyAdmin):
    """One event for one endpoint."""

    list_display = (
        "type", "endpoint_link", "shown_status", "attempts", "next_attempt_at", "created_at",
    )  # fmt: skip
    list_filter = (
        ("status", ChoicesDropdownFilter),
        ("created_at", RangeDateTimeFilter),
        "team",
    )
    list_filter_submit = True
    list_select_related = ("endpoint", "team")
    search_fields = ("type", "last_error", "endpoint__url")
    id_fields = ("pk", "endpoint")
    fields = (
        "type", "webhook_id", "endpoint_link", "team", "shown_status", "attempts",
        "next_attempt_at", "claimed_at", "last_error", "delivered_at", "body_shown",
        "tries_shown", "created_at",
    )  # fmt: skip
    readonly_fields = fields
    actions = ("send_selected_again",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookMessage]:
        rows: QuerySet[WebhookMessage] = super().get_queryset(request)
        return rows.defer("event__state_snapshot")

    @display(description="Endpoint")
    def endpoint_link(self, message: WebhookMessage) -> str:
        return link(message.endpoint)

    @display(description="Status", ordering="status", label=STATUS_LABELS)
    def shown_status(self, message: WebhookMessage) -> str:
        return message.get_status_display()

    @display(description="Body")
    def body_shown(self, message: WebhookMessage) -> str:
        return json_block(canonical.loads(message.body))

    @display(description="Tries")
    def tries_shown(self, message: WebhookMessage) -> str:
        told = [
            {
                "number": each.number,
                "url": each.url,
                "startedAt": each.started_at.isoformat(),
                "status": each.status_code,
                "error": each.error,
                "answer": each.answer,
            }
            for each in message.tries_made.all()
        ]
        return json_block(told)

    def has_send_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("events.change_webhookmessage"))

    @admin.action(description="Send again", permissions=["send"])
    def send_selected_again(self, request: HttpRequest, rows: QuerySet[WebhookMessage]) -> None:
        """Put them back on the schedule, and say why for each that cannot be."""
        for message in rows:
            try:
                replays.resend(message.endpoint_id, message.pk)
            except HitlError as error:
                messages.warning(request, f"{message}: {error}")
            else:
                self.log_change(request, message, "Sent again.")
                messages.success(request, f"{message}: on its way again.")


@admin.register(WebhookAttempt)
class WebhookAttemptAdmin(ReadOnlyAdmin):
    """One try, with the answer as far as it is kept."""

    list_display = ("started_at", "number", "message_link", "status_code", "error")
    list_filter = ("status_code", ("started_at", RangeDateTimeFilter))
    list_filter_submit = True
    list_select_related = ("message",)
    ordering = ("-id",)
    search_fields = ("url", "error")
    id_fields = ("message",)
    fields = (
        "message_link", "number", "url", "started_at", "finished_at", "status_code", "error",
        "answer",
    )  # fmt: skip
    readonly_fields = fields

    @display(description="Message")
    def message_link(self, attempt: WebhookAttempt) -> str:
        return link(attempt.message)


@admin.register(WebhookSecret)
class WebhookSecretAdmin(ReadOnlyAdmin):
    """That there is a secret, of which kind and until when; never the secret."""

    list_display = ("endpoint_link", "kind", "expires_at", "created_at")
    list_select_related = ("endpoint",)
    search_fields = ("endpoint__url", "public_key")
    id_fields = ("endpoint",)
    fields = ("endpoint_link", "kind", "public_key", "expires_at", "created_at")
    readonly_fields = fields

    @display(description="Endpoint")
    def endpoint_link(self, secret: WebhookSecret) -> str:
        return link(secret.endpoint)

    @display(description="Signature")
    def kind(self, secret: WebhookSecret) -> str:
        return endpoints.signature_of(secret)
