"""Tags of the numbers: shares, durations and bars, as people read them."""

from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from workflows.statistics.spread import Bucket, Spread

register = template.Library()
NOTHING = mark_safe('<span class="none" aria-hidden="true">–</span>'
                    '<span class="visually-hidden">nothing to tell</span>')  # fmt: skip
_UNITS = ((86_400, "day"), (3_600, "h"), (60, "min"), (1, "s"))


@register.filter
def number(value: int) -> str:
    """1,234."""
    return f"{value:,}"


@register.filter
def share(value: float | None) -> str | SafeString:
    """A share of one as percent; small ones with a digit more."""
    if value is None:
        return NOTHING
    digits = 1 if 0 < value < 0.1 or 0.99 < value < 1 else 0
    return f"{value * 100:.{digits}f} %"


@register.filter
def lasting(seconds: int) -> str:
    """A duration in its largest fitting unit."""
    for size, unit in _UNITS:
        if seconds >= size:
            count = seconds / size
            shown = (
                f"{count:.1f}".removesuffix(".0") if count < 10 and size > 60 else f"{count:.0f}"
            )
            return f"{shown} {unit}{'s' if unit == 'day' and shown != '1' else ''}"
    return "0 s"


@register.filter
def reach(bucket: Bucket | Any) -> str:
    """From when to when a bucket goes."""
    if bucket.high is None:
        return f"over {lasting(bucket.low)}"
    if bucket.low == 0:
        return f"under {lasting(bucket.high)}"
    low, unit = lasting(bucket.low).split()
    high = lasting(bucket.high)
    is_same = unit.rstrip("s") == high.split()[1].rstrip("s")
    return f"{low} to {high}" if is_same else f"{low} {unit} to {high}"


@register.simple_tag
def quantile(spread: Spread, of: float) -> SafeString:
    """The time after which that share was done: an estimate, and between which bounds it lies."""
    found = spread.quantile(of)
    if found is None:
        return NOTHING
    if found.high is None:
        return format_html("{}", reach(found))
    return format_html('<span title="{}">≈ {}</span>', reach(found), lasting(found.seconds))


@register.simple_tag
def bar(value: int, most: int, name: str = "") -> SafeString:
    """A bar beside a number, as long as its share of the most there is."""
    width = round(100 * value / most, 1) if most else 0
    return format_html(
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" '
        'focusable="false"><rect class="bar-track" width="100" height="8"></rect>'
        '<rect class="s-{}" width="{}" height="8"></rect></svg>',
        name or "approved",
        width,
    )
