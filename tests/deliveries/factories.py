"""Messages as the workflows build them, and deliveries in any state."""

from typing import Any

from deliveries.channels.base import Choice, Fact, Message

HOSTILE = (
    "<script>alert(1)</script></mj-text></mj-section><mj-raw>{{7*7}}{% now 'Y' %}"
    '{0.__class__} %s ${} <!-- --> <![CDATA[x]]> &lt;b&gt; " onload="x \' </td></table>'
)


def make_message(**changes: Any) -> Message:
    """A message that asks for a decision about a refund."""
    values: dict[str, Any] = {
        "kind": "approval",
        "subject": "Approve by 24 Nov 17:00 UTC: Refund order A-1009",
        "title": "Refund order A-1009",
        "team": "Payments",
        "agent": "refund-bot",
        "action_type": "payments.refund",
        "risk": "medium",
        "facts": [
            Fact("Amount", "120"),
            Fact("Note to the customer", "Damaged in transit.\nSorry!", "note"),
        ],
        "reason": "The customer sent photos.\nPolicy 4.2 allows it.",
        "fingerprint": "sha256:" + "9f86d081884c7d65" * 4,
        "expires_at": "2026-11-24T17:00:00+00:00",
        "on_timeout": "the request times out and nothing runs",
        "url": "http://testserver/workflows/0192/",
        "thread": "0192aaaa",
        "choices": [
            Choice("approved", "Approve", "primary"),
            Choice("rejected", "Reject", "danger"),
            Choice("modified", "Edit, then approve"),
        ],
    }
    return Message(**(values | changes))
