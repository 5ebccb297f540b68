"""What a person's mail decides: never guessed, whatever stands around the answer."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliveries.channels.email.words import COMMENT_LIMIT, Said, from_html, read

ANN = "Ann Approver"
QUESTION = """APPROVAL NEEDED (medium risk)

Refund order A-1009
YOUR ANSWER

  Approve:
  http://testserver/l/token/?choice=approved

  Reject:
  http://testserver/l/token/?choice=rejected
"""


def quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.splitlines())


YES = """
approve|Approve|APPROVED|I approve.|approve it|Approve this, please|yes|Yes!|Yes please|y|ok
OK, thanks|Okay - go ahead|LGTM|+1|\N{THUMBS UP SIGN}|\U0001f44d\U0001f3fd
*Approved*|"approve"|  approve  |Agreed|Confirmed|appro\u200bve|\uff59\uff45\uff53|yes, approved
Looks good to me|Looks good, thank you
"""
UNCLEAR = """
Hello|Maybe|Let me check|What is this?|Yes?|Approve?|yes and no|No problem|No problem, go ahead
No worries|No objection|No, go ahead|No, fine|No: approve it|not approved|Do not approve|Don't
yes, but only 90|Approve 90 instead|Approved if Carl agrees|Approved, wait|yesterday|okra
I am out of the office until Monday|Sent from my iPhone|Approved-by: nobody|no wrong order
Reject? No, approve.|\N{THUMBS DOWN SIGN}|Is this ok|approvee|aproove|Can you approve|Please approve
Ja|Nein|0|y e s|\u0434\u0430
"""
SECOND_THOUGHTS = [
    "No\n\nSorry, I meant yes", "Yes\nbut only today", "Yes\n\nBut change the amount first",
    "OK\n\nThanks, but not before Monday", "Yes\n\nPS: only today", "approve\nreject",
    "Yes\n\nAnn\n\nP.S. not more than 90",
]  # fmt: skip


def each(lines: str) -> list[str]:
    return re.split(r"[|\n]", lines.strip("\n"))


@pytest.mark.parametrize("text", [*each(YES), "\n\n\nApprove\n"])
def test_line_that_says_nothing_but_yes_approves(text: str) -> None:
    assert read(text) == Said("approved")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("No, wrong order", "wrong order"),
        ("no: wrong order", "wrong order"),
        ("No - the mug was blue.", "the mug was blue."),
        ("Reject wrong order", "wrong order"),
        ("Rejected: wrong order", "wrong order"),
        ("I decline, ask Carl", "ask Carl"),
        ("Deny. This is not ours.", "This is not ours."),
        ("Reject\nwrong order", "wrong order"),
        ("Reject\n\nWrong order,\nsee the photo.\n\nAnn Approver", "Wrong order, see the photo."),
        ("No, it was never approved by finance", "it was never approved by finance"),
    ],
)
def test_no_rejects_with_what_follows_as_the_reason(text: str, reason: str) -> None:
    assert read(text, writer=ANN) == Said("rejected", reason)


@pytest.mark.parametrize("text", ["no", "No.", "Reject", "Rejected!", "nope", "n"])
def test_no_without_a_reason_is_a_no_that_lacks_one(text: str) -> None:
    assert read(text) == Said("rejected")


def test_the_writers_name_is_no_reason() -> None:
    assert read("Reject\n\nAnn Approver\nHead of Refunds", writer=ANN) == Said("rejected")
    assert read("Reject\n\nBest regards,\nA. A.") == Said("rejected")


@pytest.mark.parametrize("text", ["", "\n", *each(UNCLEAR), *SECOND_THOUGHTS])
def test_anything_else_is_unclear(text: str) -> None:
    assert read(text, writer=ANN) == Said()


@pytest.mark.parametrize(
    "below",
    [
        f"\n\nOn Mon, 23 Nov 2026 at 17:00, hitl <approvals@hitl.example.com> wrote:\n\n{QUESTION}",
        "\n\nOn Mon, 23 Nov 2026 at 17:00, hitl <approvals+abcdefghijklmnop@in.example.com\n"
        f"> wrote:\n{quoted(QUESTION)}",
        f"\n\nOn Mon, 23 Nov 2026, hitl\n<a@hitl.example.com> wrote:\n{quoted('no')}",
        f"\n\nAm 23.11.2026 um 17:00 schrieb hitl:\n{quoted(QUESTION)}",
        f"\n\n-----Original Message-----\nFrom: hitl\n\nReject\n{QUESTION}",
        f"\n\n________________________________\nFrom: hitl <a@b>\nSent: Monday\n\n{QUESTION}",
        f"\n\nFrom: hitl <a@hitl.example.com>\nSent: 23 November\nTo: Ann\n\nno\n{QUESTION}",
        f"\n\n*From:* hitl <a@hitl.example.com>\n*Sent:* Monday\n*Subject:* no\n\n{QUESTION}",
        f"\n\nBegin forwarded message:\n\n{QUESTION}",
        "\n\n-- \nAnn Approver\nOnly if it is not too late",
        "\n\nSent from my iPhone\n\nOn Monday hitl wrote:\n> no",
        "\n\nGet Outlook for iOS",
        "\n\nKind regards,\nAnn\n\nWe do not reject good ideas",
        "\n\nAnn Approver\nHead of Refunds, but only on Mondays",
        "\n\nThis message is confidential.\nIf you are not the intended recipient, do not read it.",
        f"\n{quoted(QUESTION)}",
    ],
)
def test_what_stands_below_the_answer_says_nothing(below: str) -> None:
    assert read(f"Approve{below}", writer=ANN) == Said("approved")
    assert read(f"No, wrong order{below}", writer=ANN) == Said("rejected", "wrong order")


@pytest.mark.parametrize("quote", [QUESTION, "approve", "yes\nyes"])
def test_quotes_alone_decide_nothing(quote: str) -> None:
    for text in (
        quoted(quote),
        f"On Mon, 23 Nov 2026, hitl <a@b> wrote:\n{quoted(quote)}",
        f"On Mon, 23 Nov 2026, hitl <a@b> wrote:\n\n{quote}",
        f"-----Original Message-----\n{quote}",
        f"From: hitl <a@b>\nSent: Monday\nTo: Ann\n\n{quote}",
    ):
        assert read(text) == Said()


def test_our_own_text_sent_back_unmarked_decides_nothing() -> None:
    assert read(QUESTION) == Said()


def test_answer_below_the_quote_counts() -> None:
    text = f"On Mon, 23 Nov 2026, hitl <a@b>\nwrote:\n\n{quoted(QUESTION)}\n\nApprove\n"
    assert read(text) == Said("approved")


def test_words_after_a_yes_are_kept() -> None:
    text = "Approved, thanks!\n\nPlease tell the customer.\n\nRegards,\nAnn"
    assert read(text, writer=ANN) == Said("approved", "Please tell the customer.")


def test_long_mails_are_bounded() -> None:
    said = read("No, " + "because " * 10_000)
    assert said.decision == "rejected"
    assert len(said.comment) <= COMMENT_LIMIT
    assert read("\n" * 100_000 + "Approve") == Said()


def test_html_alone_is_read_without_its_quotes() -> None:
    gmail = (
        '<div dir="ltr">Approve<br></div><br><div class="gmail_quote"><div>On Mon, hitl wrote:'
        "<br></div><blockquote>Reject</blockquote></div>"
    )
    outlook = (
        "<html><head><style>p {color: red}</style></head><body><p>No, wrong<br>order</p>"
        "<div><p><b>From:</b> hitl &lt;a@b&gt;<br><b>Sent:</b> Monday<br></p><p>yes</p></div>"
        "</body>"
    )
    apple = "<div>Yes</div><blockquote type=cite><div>no</div></blockquote>"
    assert read(from_html(gmail)) == Said("approved")
    assert read(from_html(outlook)) == Said("rejected", "wrong order")
    assert read(from_html(apple)) == Said("approved")


@pytest.mark.parametrize(
    "html",
    ["<script>Approve</script>", "<title>Approve</title>", "<!-- Approve -->", "<p", "&#x0;"],
)
def test_what_nobody_sees_is_not_read(html: str) -> None:
    assert read(from_html(html)) == Said()


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    assert read(text).decision in ("", "approved", "rejected")
    read(from_html(text))


@given(st.text(alphabet="aproveyesnkjct ,.!?>-\n", max_size=60))
def test_a_yes_is_nothing_but_yes(text: str) -> None:
    if read(text).decision == "approved":
        own = [line for line in text.splitlines() if line.strip() and not line.startswith(">")]
        assert any(word in own[0] for word in ("approve", "yes", "y", "ok", "accept", "agree"))
        assert "no " not in own[0]
        assert "reject" not in own[0]
