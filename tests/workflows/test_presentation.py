"""Times, badges and strangers' text as every page shows them."""

import datetime as dt

import pytest

from deliveries.models import Delivery
from workflows import forms
from workflows.models import Risk, Status
from workflows.templatetags import presentation

NOW = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (-4, "just now"),
        (30, "in 30 seconds"),
        (60, "in 1 minute"),
        (-119, "1 minute ago"),
        (7200, "in 2 hours"),
        (-90_000, "1 day ago"),
        (40 * 86_400, "in 1 month"),
        (-800 * 86_400, "2 years ago"),
    ],
)
def test_a_distance_is_told_in_its_largest_unit(seconds: int, words: str) -> None:
    assert presentation.distance(NOW + dt.timedelta(seconds=seconds), NOW) == words


def test_times_carry_what_the_script_needs_and_what_people_read() -> None:
    local = NOW.astimezone(dt.timezone(dt.timedelta(hours=5)))
    tag = presentation.ago(local)
    assert 'datetime="2026-11-23T12:00:00.000+00:00"' in tag
    assert 'title="23 Nov 2026, 12:00 UTC"' in tag


def test_what_is_left_never_runs_below_nothing() -> None:
    assert presentation.left(dt.datetime.now(dt.UTC) - dt.timedelta(days=1)) == "no time"


@pytest.mark.parametrize("status", Status.values)
def test_every_status_has_words_and_an_icon(status: str) -> None:
    tag = presentation.status_badge(status)
    assert str(Status(status).label) in tag
    assert "<svg" in tag


@pytest.mark.parametrize("risk", Risk.values)
def test_every_risk_has_words_and_an_icon(risk: str) -> None:
    tag = presentation.risk_badge(risk)
    assert f"{Risk(risk).label} risk" in tag
    assert "<svg" in tag


@pytest.mark.parametrize("status", Delivery.Status.values)
def test_every_state_of_a_message_has_words_and_an_icon(status: str) -> None:
    tag = presentation.delivery_badge(status)
    assert str(Delivery.Status(status).label) in tag
    assert "<svg" in tag


@pytest.mark.parametrize("door", ["api", "slack", "a channel of next year"])
def test_every_door_has_an_icon(door: str) -> None:
    assert "<svg" in presentation.source_icon(door)


def test_markup_in_text_is_text() -> None:
    assert presentation.honest("<b>&") == "&lt;b&gt;&amp;"


def test_hidden_characters_are_marked() -> None:
    assert presentation.honest("a\u202eb") == 'a<span class="unseen">⟦U+202E⟧</span>b'


def test_only_text_that_misleads_gets_a_warning() -> None:
    assert presentation.warning_if_deceptive("plain", "Zoë") == ""
    assert "Misleading characters" in presentation.warning_if_deceptive("plain", "p\u0430ypal")


@pytest.mark.parametrize(
    ("name", "letters"),
    [("Ann Approver", "AA"), ("mia@example.com", "ME"), ("Cher", "C"), ("", ""), ("é b c", "ÉB")],
)
def test_initials(name: str, letters: str) -> None:
    assert presentation.initials(name) == letters


@pytest.mark.parametrize(
    ("value", "is_flat"),
    [
        (["a", 1, 2.5], True),
        ([], False),
        (["a", ""], False),
        (["a", None], False),
        (["a", {"b": 1}], False),
        (["a", "b\u202e"], False),
        ({"a": "b"}, False),
        ("text", False),
        (["x" * 5000], False),
    ],
)
def test_only_lists_of_plain_values_need_no_numbers(value: object, is_flat: bool) -> None:
    row = forms.tree({"it": value}).rows[0]
    assert presentation.is_flat(row) is is_flat
