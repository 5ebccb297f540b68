"""Tags shared by every page about requests: icons, times, badges and honest text.

Whatever an agent wrote is shown through `honest`, which writes out what text hides.
"""

import datetime as dt
import re
from typing import NamedTuple

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from deliveries.models import Delivery
from events.types import Source
from hitl.lib import canonical
from hitl.lib.text import has_deceptive, visible
from workflows.decision_form import short
from workflows.forms import Row, Tree, tree
from workflows.models import Risk, Status, Workflow

register = template.Library()

SPRITE = "vendor/tabler-icons-3.51.0/sprite.svg"
_ESCAPE = re.compile("⟦U\\+[0-9A-F]{4,6}⟧")
_UNITS = (("year", 31_536_000), ("month", 2_592_000), ("day", 86_400), ("hour", 3600))


class Look(NamedTuple):
    """How a state is shown: its colour, and the icon that says the same without colour."""

    tone: str
    icon: str


STATUS_LOOKS = {
    Status.PENDING: Look("info", "circle-dashed"),
    Status.APPROVED: Look("ok", "check"),
    Status.REJECTED: Look("danger", "x"),
    Status.TIMEOUT: Look("muted", "hourglass"),
    Status.CANCELLED: Look("muted", "ban"),
    Status.EXECUTING: Look("info", "player-play"),
    Status.COMPLETED: Look("ok", "circle-check"),
    Status.FAILED: Look("danger", "alert-circle"),
    Status.UNKNOWN: Look("violet", "help-circle"),
}
RISK_LOOKS = {
    Risk.LOW: Look("muted", "antenna-bars-2"),
    Risk.MEDIUM: Look("warn", "antenna-bars-4"),
    Risk.HIGH: Look("danger", "antenna-bars-5"),
}
DELIVERY_LOOKS = {
    Delivery.Status.PENDING: Look("info", "clock"),
    Delivery.Status.SENT: Look("ok", "send"),
    Delivery.Status.DELIVERED: Look("ok", "check"),
    Delivery.Status.FAILED: Look("danger", "alert-circle"),
    Delivery.Status.CANCELLED: Look("muted", "ban"),
}
# Doors: ours, and channels by their names.
DOOR_ICONS = {
    "api": "code",
    "dashboard": "world",
    "admin": "settings",
    "slack": "brand-slack",
    "email": "mail",
    "sms": "device-mobile",
    "timeout_job": "hourglass",
    "rule": "git-branch",
    "retry_job": "refresh",
    "execution_job": "bolt",
    "command": "code",
    "system": "settings",
}


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """An icon that only decorates: the words beside it say the same."""
    return format_html(
        '<svg class="icon {}" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        extra,
        static(SPRITE),
        name,
    )


@register.filter
def honest(text: object) -> SafeString:
    """A stranger's text, escaped, with everything invisible written out and marked."""
    shown = str(escape(visible(str(text))))
    marked = _ESCAPE.sub(lambda found: f'<span class="unseen">{found[0]}</span>', shown)
    return mark_safe(marked)  # noqa: S308 - escaped two lines above; only our own span is added


@register.filter
def is_deceptive(text: object) -> bool:
    """Whether the text hides characters or imitates others, so that a warning belongs beside it."""
    return has_deceptive(str(text))


@register.simple_tag
def warning_if_deceptive(*texts: object) -> SafeString:
    """A badge beside text that is not what it seems; nothing beside ordinary text."""
    if not any(has_deceptive(str(text)) for text in texts):
        return SafeString("")
    return badge("warn", "alert-triangle", "Misleading characters")


@register.simple_tag
def badge(tone: str, icon_name: str, words: str) -> SafeString:
    """A label with an icon: never colour alone."""
    return format_html('<span class="chip chip-{}">{}{}</span>', tone, icon(icon_name), words)


@register.simple_tag
def status_badge(status: str) -> SafeString:
    """Where a request stands."""
    look = STATUS_LOOKS[Status(status)]
    return badge(look.tone, look.icon, str(Status(status).label))


@register.simple_tag
def risk_badge(risk: str) -> SafeString:
    """How much is at stake."""
    look = RISK_LOOKS[Risk(risk)]
    return badge(look.tone, look.icon, f"{Risk(risk).label} risk")


@register.filter
def lines(text: str) -> list[str]:
    """The entries of a list that a form keeps as one text, one a line."""
    return text.split("\n")


@register.filter
def as_tree(text: str) -> Tree | None:
    """An object or list that a form keeps as JSON, for reading; None for anything simpler."""
    value = canonical.loads(text)
    return tree(value) if isinstance(value, dict | list) and value else None


@register.filter
def is_flat(row: Row) -> bool:
    """Whether the row is a list of plain texts and numbers, which needs no numbering."""
    plain = all(child.kind in ("text", "number") and child.value for child in row.children)
    whole = not any(child.cut or child.is_deceptive for child in row.children)
    return row.kind == "list" and bool(row.children) and plain and whole


@register.simple_tag
def delivery_badge(status: str) -> SafeString:
    """What became of a message."""
    look = DELIVERY_LOOKS[Delivery.Status(status)]
    return badge(look.tone, look.icon, str(Delivery.Status(status).label))


@register.filter
def fingerprint(digest: str) -> str:
    """Enough of it to compare two at a glance."""
    return short(digest)


@register.filter
def initials(name: str) -> str:
    """One or two letters that stand for a person."""
    words = name.replace("@", " ").replace(".", " ").split()
    return "".join(word[0] for word in words[:2]).upper()


@register.simple_tag
def decided_by(workflow: Workflow) -> str:
    """Who or what had the last word: a person, a rule, or silence."""
    if workflow.responded_by is not None:
        return str(workflow.responded_by)
    return "a rule" if workflow.responded_via == Source.RULE else "silence"


@register.simple_tag
def source_icon(source: str) -> SafeString:
    """The door something came through."""
    return icon(DOOR_ICONS.get(source, "message"))


@register.simple_tag
def ago(moment: dt.datetime) -> SafeString:
    """A time as people say it; the script keeps it current and adds the reader's own clock."""
    return format_html(
        '<relative-time datetime="{}" title="{}">{}</relative-time>',
        _iso(moment),
        clock(moment),
        distance(moment, timezone.now()),
    )


@register.simple_tag
def at(moment: dt.datetime) -> SafeString:
    """A time as clocks say it, in UTC until the script knows the reader's zone."""
    return format_html(
        '<relative-time datetime="{}" format="datetime" weekday="" year="numeric" month="short" '
        'day="numeric" hour="2-digit" minute="2-digit" time-zone-name="short" prefix="">{}'
        "</relative-time>",
        _iso(moment),
        clock(moment),
    )


@register.filter
def left(moment: dt.datetime) -> str:
    """How much time there is until then: `7 hours`, or `no time`."""
    seconds = int((moment - timezone.now()).total_seconds())
    return _amount(seconds) if seconds > 0 else "no time"


def clock(moment: dt.datetime) -> str:
    """The absolute time, zone included."""
    return moment.astimezone(dt.UTC).strftime("%-d %b %Y, %H:%M UTC")


def distance(moment: dt.datetime, now: dt.datetime) -> str:
    """`in 12 minutes`, `3 hours ago`: the largest whole unit."""
    seconds = int((moment - now).total_seconds())
    amount = abs(seconds)
    words = _amount(amount)
    if amount < 5:
        return "just now"
    return f"in {words}" if seconds > 0 else f"{words} ago"


def _amount(seconds: int) -> str:
    for name, size in (*_UNITS, ("minute", 60), ("second", 1)):
        count = seconds // size
        if count:
            return f"{count} {name}{'s' if count > 1 else ''}"
    return "0 seconds"


def _iso(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds")
