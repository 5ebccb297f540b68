"""The operators' site: its one door, its content policy, and where to find what."""

from collections.abc import Callable
from typing import Any

from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from csp.decorators import csp
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from django.urls import reverse, reverse_lazy
from unfold.sites import UnfoldAdminSite

from deliveries.models import Delivery
from workflows.models import Status, Workflow

# The theme evaluates expressions in attributes and writes its colours into a style element. Scripts
# still come from our own files only, and nothing may frame the pages or catch their forms.
POLICY = {
    "default-src": [SELF],
    "script-src": [SELF, UNSAFE_EVAL],
    "style-src": [SELF, UNSAFE_INLINE],
    "img-src": [SELF, "data:"],
    "connect-src": [SELF],
    "object-src": [NONE],
    "base-uri": [NONE],
    "form-action": [SELF],
    "frame-ancestors": [NONE],
}
View = Callable[..., Any]


class HitlAdminSite(UnfoldAdminSite):  # type: ignore[misc]  # unfold is untyped
    """Django's admin behind the same login as everything else."""

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        """Every page of the admin passes here, and gets the admin's own content policy."""
        dressed: View = csp(POLICY)(super().admin_view(view, cacheable))
        return dressed

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """There is one place to log in, with one set of rules; people without a post learn so."""
        if request.user.is_authenticated:
            raise PermissionDenied("Only staff may use the admin.")
        return redirect_to_login(request.GET.get("next") or str(reverse_lazy("admin:index")))


def logo(request: HttpRequest) -> str:
    """The mark beside the title, and the icon of the tab."""
    return static("img/favicon.svg")


def style_sheet(request: HttpRequest) -> str:
    """Our few rules beside the theme's."""
    return static("css/admin.css")


def attention(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the start page counts: everything an operator may have to look after."""
    workflows = Workflow.objects
    counted = (
        ("Waiting for an answer", workflows, "workflows_workflow", Status.PENDING),
        ("Outcome unknown", workflows, "workflows_workflow", Status.UNKNOWN),
        ("Actions failed", workflows, "workflows_workflow", Status.FAILED),
        ("Messages failed", Delivery.objects, "deliveries_delivery", Delivery.Status.FAILED),
    )
    cards = [
        {
            "title": title,
            "count": rows.filter(status=status).count(),
            "url": f"{reverse(f'admin:{page}_changelist')}?status__exact={status}",
        }
        for title, rows, page, status in counted
    ]
    return {**context, "cards": cards}


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The side bar: what a request needs from left to right, then who, then the machinery."""
    groups = {
        "Approvals": (
            ("Workflows", "inbox", "workflows.workflow"),
            ("Decisions", "how_to_vote", "workflows.decision"),
            ("Receipts", "receipt_long", "workflows.receipt"),
            ("Executions", "play_circle", "workflows.executionattempt"),
            ("Views", "visibility", "workflows.view"),
            ("Withdrawals", "undo", "workflows.withdrawal"),
            ("Remarks", "chat", "workflows.remark"),
            ("Action types", "category", "workflows.actiontype"),
        ),
        "Policies": (
            ("Policies", "policy", "workflows.policy"),
            ("Versions", "history", "workflows.policyversion"),
            ("Rules", "rule", "workflows.ruleset"),
            ("Used budgets", "account_balance_wallet", "workflows.ruleuse"),
            ("Reminders and steps", "notifications_active", "workflows.firedstep"),
            ("Hand-overs", "swap_horiz", "workflows.handover"),
        ),
        "Messages": (
            ("Deliveries", "outgoing_mail", "deliveries.delivery"),
            ("Sandbox", "drafts", "deliveries.sandboxmessage"),
        ),
        "Webhooks": (
            ("Endpoints", "webhook", "events.webhookendpoint"),
            ("Sent", "outbox", "events.webhookmessage"),
            ("Attempts", "replay", "events.webhookattempt"),
            ("Secrets", "key", "events.webhooksecret"),
        ),
        "Log": (
            ("Events", "history", "events.event"),
            ("Streams", "stacks", "events.eventstream"),
            ("Idempotency keys", "key_visualizer", "workflows.idempotencykey"),
            ("Admin log", "manage_history", "admin.logentry"),
        ),
        "People and agents": (
            ("Users", "person", "accounts.user"),
            ("Teams", "groups", "accounts.team"),
            ("Memberships", "badge", "accounts.membership"),
            ("Groups", "group_work", "accounts.group"),
            ("Absences", "event_busy", "accounts.absence"),
            ("Contact points", "alternate_email", "accounts.contactpoint"),
            ("Agents", "smart_toy", "accounts.agent"),
            ("API keys", "key", "accounts.apikey"),
            ("Permission groups", "admin_panel_settings", "auth.group"),
        ),
        "Schedule": (
            ("Periodic tasks", "schedule", "django_celery_beat.periodictask"),
            ("Intervals", "timer", "django_celery_beat.intervalschedule"),
            ("Crontabs", "calendar_month", "django_celery_beat.crontabschedule"),
            ("Signs of life", "monitor_heart", "operate.pulse"),
            ("Runs of tasks", "speed", "operate.taskcount"),
        ),
    }
    shown = {title: [item for item in map(_item, items) if item["may"](request)]
             for title, items in groups.items()}  # fmt: skip
    return [
        {"title": title, "separator": True, "items": items}
        for title, items in shown.items()
        if items
    ]


def _item(entry: tuple[str, str, str]) -> dict[str, Any]:
    title, icon, model = entry
    app, name = model.split(".")

    def may(request: HttpRequest) -> bool:
        return any(request.user.has_perm(f"{app}.{verb}_{name}") for verb in ("view", "change"))

    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{name}_changelist"),
        "may": may,
    }
