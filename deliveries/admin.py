"""Admin pages of messages: what was sent to whom, why it failed, and "send again"."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter
from unfold.decorators import action, display

from deliveries import services
from deliveries.models import Delivery, SandboxMessage
from hitl.admin_tools import ReadOnlyAdmin, change_url, gone, json_block, link
from hitl.lib.errors import HitlError

STATUS_LABELS = {
    "Pending": "info",
    "Sent": "success",
    "Delivered": "success",
    "Failed": "danger",
    "Cancelled": "",
}


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """One message to one person over one channel, with its attempts."""

    list_display = (
        "recipient", "channel", "shown_status", "kind", "workflow_link", "attempts_of",
        "next_retry_at", "created_at",
    )  # fmt: skip
    list_filter = (
        ("status", ChoicesDropdownFilter),
        "channel",
        "kind",
        ("created_at", RangeDateTimeFilter),
        "team",
    )
    list_filter_submit = True
    list_select_related = ("workflow", "team", "user")
    search_fields = ("recipient", "workflow__name", "last_error", "user__name", "metadata")
    id_fields = ("pk", "workflow", "user")
    fields = (
        "workflow_link", "team", "round", "kind", "channel", "recipient", "user_link",
        "shown_status", "attempts_of", "next_retry_at", "claimed_at", "last_error", "sent_at",
        "delivered_at", "links", "metadata_shown", "message_shown", "created_at", "id",
    )  # fmt: skip
    readonly_fields = fields
    actions = ("send_selected_again",)
    actions_detail = ("send_again",)

    @display(description="Workflow", ordering="workflow__name")
    def workflow_link(self, delivery: Delivery) -> str:
        return link(delivery.workflow)

    @display(description="Person")
    def user_link(self, delivery: Delivery) -> str:
        return link(delivery.user)

    @display(description="Status", ordering="status", label=STATUS_LABELS)
    def shown_status(self, delivery: Delivery) -> str:
        return delivery.get_status_display()

    @display(description="Attempts")
    def attempts_of(self, delivery: Delivery) -> str:
        return f"{delivery.attempts} of {delivery.max_attempts}"

    @display(description="Links made")
    def links(self, delivery: Delivery) -> int:
        """How many; what opens them was never stored."""
        return delivery.tokens.count()

    @display(description="Provider's ids")
    def metadata_shown(self, delivery: Delivery) -> str:
        return json_block(delivery.metadata)

    @display(description="Message")
    def message_shown(self, delivery: Delivery) -> str:
        return json_block(delivery.message)

    def has_send_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("deliveries.change_delivery"))

    @admin.action(description="Send again", permissions=["send"])
    def send_selected_again(self, request: HttpRequest, rows: QuerySet[Delivery]) -> None:
        """Make the ones due that can be sent again, and say why for each that cannot."""
        for delivery in rows:
            self._again(request, delivery)

    @action(description="Send again", icon="send", permissions=["send"])
    def send_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask once, then make it due if it can be sent again."""
        delivery = self.get_object(request, object_id)
        if delivery is None:
            return gone(self, request, object_id)
        if request.method != "POST":
            page = {"title": "Send this message again?", "button": "Send again"}
            return self.confirm(request, delivery, forms.Form(), **page)
        self._again(request, delivery)
        return HttpResponseRedirect(change_url(delivery))

    def _again(self, request: HttpRequest, delivery: Delivery) -> None:
        try:
            services.retry_now(delivery.pk)
        except HitlError as error:
            messages.warning(request, f"{delivery.recipient}: {error}")
            return
        self.log_change(request, delivery, "Sent again.")
        messages.success(request, f"{delivery.recipient}: on its way again.")


@admin.register(SandboxMessage)
class SandboxMessageAdmin(ReadOnlyAdmin):
    """What channels without an account would have sent; the sandbox page shows them as mails."""

    list_display = ("created_at", "channel", "recipient", "subject")
    list_filter = ("channel",)
    search_fields = ("recipient", "subject")
    fields = ("created_at", "channel", "recipient", "subject", "text", "headers")
    readonly_fields = fields
