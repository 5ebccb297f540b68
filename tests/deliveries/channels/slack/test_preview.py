"""The preview shows what Slack would show: all of it, escaped."""

import json
from html.parser import HTMLParser

from django.template.loader import render_to_string

from deliveries.channels.base import FormField, Reply
from deliveries.channels.slack import blocks, forms
from deliveries.channels.slack.preview import preview, preview_view
from tests.deliveries.factories import HOSTILE, make_message

KEY = "0193aaaa-0000-7000-8000-000000000001"


class Reader(HTMLParser):
    """What a browser would find: visible words, elements and attributes."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(source)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    @property
    def text(self) -> str:
        return "".join(self.words)


def message(**changes: object) -> Reader:
    drawn = blocks.asking(make_message(**changes), KEY)
    return Reader(render_to_string("deliveries/slack/_preview.html", {"blocks": preview(drawn)}))


def modal(fields: list[FormField]) -> Reader:
    reply = Reply("ask_edits", "T0HITL:U0ANN", reference=KEY)
    view = forms.edits(reply, make_message(), fields).to_dict()
    return Reader(render_to_string("deliveries/slack/_modal.html", {"view": preview_view(view)}))


def test_everything_of_the_message_is_there() -> None:
    text = message(deceptive=True, kind="reminder").text
    for part in (
        "Refund order A-1009", "Amount\n120", "│ Damaged in transit.", "⟦U+202E⟧", "A reminder",
        "Medium", "If nobody answers by then", "Team: Payments", "Agent: refund-bot",
        "Fingerprint: 9f86d081884c", "Approve", "Reject", "Edit, then approve", "Open in dashboard",
        "Nobody has checked them", "The customer sent photos.\nPolicy 4.2 allows it.",
    ):  # fmt: skip
        assert part in text


def test_deadline_is_an_instant() -> None:
    times = [attrs for tag, attrs in message().elements if tag == "time"]
    assert times == [{"datetime": "2026-11-24T17:00:00+00:00"}]
    assert "24 Nov 2026 17:00 UTC" in message().text


def test_buttons_press_and_links_lead() -> None:
    elements = message().elements
    pressed = [attrs["value"] for tag, attrs in elements if tag == "button"]
    assert pressed == ["hitl_approve", "hitl_reject", "hitl_edit"]
    assert [attrs["href"] for tag, attrs in elements if tag == "a"] == [make_message().url]


def test_no_markup_is_left_over() -> None:
    drawn = blocks.telling(make_message(outcome="Approved.", url="https://hitl.example/?a=1&b=2"))
    found = Reader(render_to_string("deliveries/slack/_preview.html", {"blocks": preview(drawn)}))
    assert ("a", {"href": "https://hitl.example/?a=1&b=2"}) in found.elements
    assert "Open in the dashboard" in found.text
    assert "<!date" not in found.text
    assert "&amp;" not in found.text


def test_hostile_text_stays_text() -> None:
    found = message(title=HOSTILE, reason=HOSTILE, team=HOSTILE, agent=HOSTILE)
    assert not {"script", "mj-text", "mj-raw"} & {tag for tag, _ in found.elements}
    assert not [attrs for _, attrs in found.elements if "onload" in attrs]
    assert "<script>alert(1)</script>" in found.text
    assert "{{7*7}}" in found.text


def test_modal_is_a_form_with_its_values() -> None:
    found = modal(
        [
            FormField("/amount", "Amount", "number", "120", required=True),
            FormField("/note", "Note", "long", "a\nb", help="Shown to the customer."),
            FormField("/currency", "Currency", "choice", "USD", [("EUR", "€"), ("USD", "$")]),
            FormField("/urgent", "Urgent", "flag", "on"),
            FormField("/id", "Customer", value=HOSTILE, read_only=True),
        ]
    )
    named = {attrs.get("name"): attrs for tag, attrs in found.elements if "name" in attrs}
    assert named["f0:/amount v:"]["value"] == "120"
    assert "required" in named["f0:/amount v:"]
    assert "checked" in named["f3:/urgent v:"]
    chosen = [attrs["value"] for tag, attrs in found.elements if "selected" in attrs]
    assert chosen == ["=USD"]
    for part in ("Edit, then approve", "Approve with edits", "Cancel", "a\nb", "{{7*7}}"):
        assert part in found.text


def test_structures_are_plain() -> None:
    drawn = blocks.asking(make_message(), KEY)
    assert json.loads(json.dumps(preview(drawn), default=str))
    assert [part["kind"] for part in preview(drawn)] == [block["type"] for block in drawn]
