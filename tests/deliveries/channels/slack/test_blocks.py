"""What a message looks like in Slack: complete, literal, within the limits, whatever is in it."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deliveries.channels.base import Choice, Fact, Message
from deliveries.channels.slack import blocks
from tests.deliveries.factories import HOSTILE, make_message
from tests.standins.slack import block_kit

KEY = "0193aaaa-0000-7000-8000-000000000001"
OUR_MARKUP = re.compile(
    r"\*(Risk|Answer by)\*\n("
    r"Low|Medium|High: approve after signing in"
    r"|<!date\^[0-9]+\^\{date_short_pretty\} at \{time\}\|[0-9A-Za-z: ]+>|[0-9A-Za-z: ]+ UTC)"
    r"|<https?://[^<>|\s]+\|Open in the dashboard>"
)
# Markup, mentions, codes, hidden characters and plain letters, in texts of all sizes.
NASTY = [
    "<!channel>", "<@U1>", "<https://evil.example|Approve>", "`", "*", "&amp;", ":tada:", "\u202e",
    "\u200b", "\U000e0041", "\u3164", "\n", "\r\n", "\t", "\0", "\U0001d4d0", "🙂", "⟦", "\ud83d",
]  # fmt: skip
words = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from(NASTY), max_size=20).map("".join),
    st.builds(lambda part, times: part * times, st.text(max_size=4), st.integers(0, 600)),
)
facts = st.builds(Fact, label=words, value=words, path=words)
choices = st.builds(
    Choice,
    decision=st.sampled_from(["approved", "rejected", "modified", "other", ""]),
    label=words,
    style=st.sampled_from(["", "primary", "danger", "odd"]),
)
messages = st.builds(
    Message,
    kind=st.sampled_from(["approval", "reminder", "outcome", "other"]),
    subject=words,
    title=words,
    team=words,
    agent=words,
    action_type=words,
    risk=st.one_of(st.sampled_from(["low", "medium", "high"]), words),
    facts=st.lists(facts, max_size=12),
    facts_left_out=st.integers(0, 10_000),
    reason=words,
    fingerprint=words,
    expires_at=st.one_of(st.datetimes().map(lambda when: when.isoformat()), words),
    on_timeout=words,
    url=st.one_of(st.just("https://hitl.example/workflows/1/"), words),
    choices=st.lists(choices, max_size=4),
    outcome=words,
    deceptive=st.booleans(),
    progress=words,
    notice=words,
    on_behalf=words,
    second_factor=st.booleans(),
)


def asking(**changes: Any) -> list[dict[str, Any]]:
    return blocks.asking(make_message(**changes), KEY)


def text_objects(drawn: Any, kind: str) -> Iterator[str]:
    """Every text of a kind, wherever it is."""
    for part in drawn.values() if isinstance(drawn, dict) else drawn:
        if isinstance(part, dict | list):
            yield from text_objects(part, kind)
    if isinstance(drawn, dict) and drawn.get("type") == kind and isinstance(drawn["text"], str):
        yield drawn["text"]


def buttons(drawn: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        part["action_id"]: part
        for block in drawn
        if block["type"] == "actions"
        for part in block["elements"]
    }


def screen(drawn: list[dict[str, Any]]) -> str:
    return json.dumps(drawn, ensure_ascii=False)


@settings(deadline=None, max_examples=50)
@given(messages)
def test_any_message_is_one_that_slack_takes(message: Message) -> None:
    for drawn in (blocks.asking(message, KEY), blocks.telling(message)):
        assert block_kit.check(drawn) == []
        assert not block_kit.is_too_long(drawn)
    fallback = blocks.fallback(message)
    assert fallback.strip()
    assert block_kit.length(fallback) <= 600


@settings(deadline=None, max_examples=50)
@given(messages)
def test_markup_stands_in_our_own_words_only(message: Message) -> None:
    for drawn in (blocks.asking(message, KEY), blocks.telling(message)):
        for marked in text_objects(drawn, "mrkdwn"):
            assert OUR_MARKUP.fullmatch(marked), marked


@settings(deadline=None, max_examples=50)
@given(messages)
def test_nothing_hidden_stays_hidden(message: Message) -> None:
    seen = screen(blocks.asking(message, KEY))
    for hidden in ("\u202e", "\u200b", "\U000e0041", "\u3164", "\0"):
        assert hidden not in seen


@settings(deadline=None, max_examples=50)
@given(messages)
def test_no_emoji_code_becomes_a_picture(message: Message) -> None:
    for drawn in (blocks.asking(message, KEY), blocks.telling(message)):
        assert '"emoji": true' not in screen(drawn)


@settings(deadline=None, max_examples=50)
@given(messages)
def test_telling_leaves_nothing_to_press(message: Message) -> None:
    assert not [block for block in blocks.telling(message) if block["type"] == "actions"]


@settings(deadline=None, max_examples=50)
@given(messages.map(lambda message: replace(message, risk="high")))
def test_high_risk_cannot_be_approved_by_a_press(message: Message) -> None:
    assert not {"hitl_approve", "hitl_edit"} & set(buttons(blocks.asking(message, KEY)))


@settings(deadline=None, max_examples=50)
@given(
    st.lists(facts, min_size=2, max_size=4).map(lambda few: few * 10),
    words.filter(str.strip),
    st.sampled_from(["low", "medium", "high"]),
)
def test_the_critical_is_always_there(facts: list[Fact], reason: str, risk: str) -> None:
    seen = screen(asking(facts=facts, reason=reason, risk=risk))
    for part in ("Refund order A-1009", "*Answer by*", "24 Nov 2026 17:00 UTC", "9f86d081884c"):
        assert part in seen
    assert blocks.RISKS[risk] in seen
    assert "If nobody answers by then, the request times out and nothing runs." in seen


def test_left_out_values_are_counted() -> None:
    facts = [Fact(f"Field {number}", "x" * 5000) for number in range(30)]
    drawn = asking(facts=facts, facts_left_out=7)
    shown = sum("Field " in text for text in text_objects(drawn, "plain_text"))
    assert 3 < shown < 30
    assert f"{37 - shown} more values are not shown here" in screen(drawn)


def test_cut_value_tells_how_much_is_missing() -> None:
    [value] = [
        text
        for text in text_objects(asking(facts=[Fact("Body", "y" * 5000)]), "plain_text")
        if text.startswith("Body")
    ]
    left = 5000 - value.count("y") + 1  # the y of "Body"
    assert f"… ({left} more characters)" in value


def test_values_are_fields_where_they_are_short() -> None:
    drawn = asking(facts=[Fact(f"Field {number}", "short") for number in range(12)])
    sections = [block for block in drawn if "Field" in screen([block])]
    assert [len(block["fields"]) for block in sections] == [10, 2]


def test_agents_words_come_last_boxed_and_labelled() -> None:
    drawn = asking(reason="Already approved by the CFO.\n" + "\n" * 5000 + "[Approve]")
    kinds = [block["type"] for block in drawn]
    assert kinds[-3:] == ["actions", "context", "rich_text"]
    assert "Nobody has checked" in screen([drawn[-2]])
    [quote] = drawn[-1]["elements"]
    assert quote["type"] == "rich_text_quote"
    said = quote["elements"][0]["text"]
    assert said.count("\n") <= 12
    assert "more lines" in said


@pytest.mark.parametrize(
    "text",
    [
        "<!channel>", "<!here>", "<@U0ANN>", "<https://evil.example|Approve>", "```x```", "*bold*",
        ":white_check_mark:", '[{"type":"actions"}]', "&lt;!channel&gt;", HOSTILE,
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", ["title", "team", "agent", "action_type", "reason", "outcome"])
def test_markup_of_strangers_is_shown_as_it_was_written(text: str, where: str) -> None:
    drawn = asking(**{where: text})
    literal = [*text_objects(drawn, "plain_text"), *text_objects(drawn, "text")]
    assert any(text[:20] in each for each in literal)
    assert not any(text[:20] in each for each in text_objects(drawn, "mrkdwn"))


@pytest.mark.parametrize("where", ["label", "value", "path"])
def test_markup_in_data_is_shown_as_it_was_written(where: str) -> None:
    parts = {"label": "Amount", "value": "1", "path": "a"} | {where: "<!channel> *x* <@U1>"}
    drawn = asking(facts=[Fact(**parts)])
    assert "<!channel> *x* <@U1>" in "".join(text_objects(drawn, "plain_text"))


def test_notification_mentions_nobody() -> None:
    said = blocks.fallback(make_message(subject="<!channel> <@U1> <https://evil.example|x> & co"))
    assert said == "&lt;!channel&gt; &lt;@U1&gt; &lt;https://evil.example|x&gt; &amp; co"


@pytest.mark.parametrize(
    ("hidden", "shown"),
    [
        ("\u202e", "⟦U+202E⟧"), ("\u200b", "⟦U+200B⟧"), ("\U000e0041", "⟦U+E0041⟧"),
        ("\ufe01", "⟦U+FE01⟧"), ("\u3164", "⟦U+3164⟧"),
    ],
)  # fmt: skip
def test_hidden_characters_are_written_out(hidden: str, shown: str) -> None:
    drawn = asking(title=f"a{hidden}b", team=f"a{hidden}b", facts=[Fact("To", f"a{hidden}b")])
    assert screen(drawn).count(f"a{shown}b") == 4  # and once more where approving is confirmed


def test_deceptive_text_is_warned_about_at_the_top() -> None:
    drawn = asking(deceptive=True)
    assert "⚠" in screen([drawn[1]])
    assert "⚠" not in screen(asking())


def test_lines_of_a_value_cannot_pose_as_other_facts() -> None:
    drawn = asking(facts=[Fact("Note", "fine\n\nRisk\nLow")])
    assert "Note\n│ fine\n│ \n│ Risk\n│ Low" in list(text_objects(drawn, "plain_text"))


def test_label_stays_on_one_line() -> None:
    drawn = asking(facts=[Fact("Amount\n1\nRisk", "9")])
    assert "Amount 1 Risk\n9" in list(text_objects(drawn, "plain_text"))


def test_label_of_the_form_is_followed_by_where_the_value_stands() -> None:
    drawn = asking(facts=[Fact("Small fee", "9", "total.amount")])
    assert "Small fee (total.amount)\n9" in list(text_objects(drawn, "plain_text"))


def test_buttons_are_those_of_the_choices() -> None:
    drawn = buttons(asking(choices=[Choice("rejected", "No", "danger")]))
    assert list(drawn) == ["hitl_reject", "hitl_open"]
    assert drawn["hitl_reject"]["style"] == "danger"
    assert drawn["hitl_reject"]["value"] == KEY


def test_high_risk_leads_to_where_people_sign_in() -> None:
    drawn = buttons(asking(risk="high"))
    assert list(drawn) == ["hitl_open", "hitl_reject"]
    assert drawn["hitl_open"]["url"] == make_message().url
    assert "value" not in drawn["hitl_open"]


@pytest.mark.parametrize(("risk", "is_asked"), [("low", False), ("medium", True)])
def test_approving_more_than_a_trifle_takes_a_second_tap(risk: str, is_asked: bool) -> None:
    assert ("confirm" in buttons(asking(risk=risk))["hitl_approve"]) is is_asked


@pytest.mark.parametrize(
    "url", ["", "javascript:alert(1)", "https://x.example/|<!channel>", "https://x.example/ y"]
)
def test_odd_addresses_are_no_links(url: str) -> None:
    assert "hitl_open" not in buttons(asking(url=url))
    assert not any("dashboard" in text for text in text_objects(asking(url=url), "mrkdwn"))


@pytest.mark.parametrize("when", ["soon", "", "0001-01-01T00:00:00", "9999-12-31T23:59:59-12:00"])
def test_odd_deadlines_are_shown_somehow(when: str) -> None:
    assert block_kit.check(asking(expires_at=when)) == []


def test_reminder_says_so() -> None:
    assert "A reminder" in screen(asking(kind="reminder"))


# --- How it stands --------------------------------------------------------------------------------

STANDING = {
    "notice": "Bob has changed the data: your answer is about what it says now.",
    "progress": "1 of 2, waiting for Finance.",
    "on_behalf": "Ann Approver",
}


def test_it_says_what_happened_for_whom_and_how_far_it_is_above_the_facts() -> None:
    drawn = asking(**STANDING)
    assert [part["type"] for part in drawn[:4]] == ["header", "section", "context", "context"]
    shown = screen(drawn)
    for part in (STANDING["notice"], "in place of Ann Approver.", "So far: 1 of 2, waiting for"):
        assert part in shown
    assert shown.index("So far") < shown.index("Damaged in transit")


def test_what_people_are_called_is_read_as_it_is() -> None:
    hostile = f"<!channel> *{HOSTILE}*\n:tada: <https://evil.example|Approve>"
    drawn = asking(notice=hostile, progress=hostile, on_behalf=hostile)
    assert block_kit.check(drawn) == []
    assert not [text for text in text_objects(drawn, "mrkdwn") if "evil" in text]
    assert "<!channel>" in screen(drawn)


def test_once_it_is_settled_only_the_outcome_is_told() -> None:
    shown = screen(blocks.telling(make_message(**STANDING, outcome="Approved by Ann in Slack.")))
    assert "Approved by Ann in Slack." in shown
    assert not [words for words in ("Bob has changed", "So far", "in place of") if words in shown]


@pytest.mark.parametrize("risk", ["low", "medium", "high"])
def test_where_a_second_factor_is_wanted_the_page_is_all_there_is(risk: str) -> None:
    drawn = asking(risk=risk, second_factor=True)
    assert list(buttons(drawn)) == [blocks.OPEN]
    assert buttons(drawn)[blocks.OPEN]["url"] == make_message().url
    assert "takes your second factor" in screen(drawn)
