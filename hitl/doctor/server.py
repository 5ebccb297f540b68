"""The settings as a whole, as Django's own checks and ours see them."""

from django.conf import settings
from django.core.checks import ERROR, CheckMessage, run_checks

from hitl.doctor.findings import FAIL, OK, WARN, Finding

TOPIC = "settings"
# What the examination of the channels says better.
TOLD_ELSEWHERE = ("deliveries.W001", "deliveries.W002")


def look() -> list[Finding]:
    """What the system checks find; those for production where the server is not embedded."""
    production = not settings.EMBEDDED and not settings.DEBUG
    found = [
        _finding(each)
        for each in run_checks(include_deployment_checks=production)
        if each.id not in TOLD_ELSEWHERE and not each.is_silenced()
    ]
    if settings.DEBUG:
        why = "Whoever causes an error on a page gets to read source code and settings."
        found.append(Finding(TOPIC, WARN, "DEBUG is on.", why, "Switch it off."))
    return found or [Finding(TOPIC, OK, f"Served as {settings.PUBLIC_URL}; nothing is missing.")]


def _finding(message: CheckMessage) -> Finding:
    level = FAIL if message.level >= ERROR else WARN
    return Finding(TOPIC, level, message.msg, f"Check {message.id}.", message.hint or "")
