"""What a provider found out about a mail's sender, in the words of each."""

from types import SimpleNamespace
from typing import Any

import pytest
from anymail.inbound import AnymailInboundMessage

from deliveries.channels.email.trust import doubt

ANN = "ann@example.com"


def event(
    *headers: tuple[str, str], envelope: str | None = ANN, post: Any = None
) -> SimpleNamespace:
    """A mail as django-anymail hands it on; headers stand in the order in which they came."""
    message = AnymailInboundMessage.construct(from_email=f"Ann <{ANN}>", headers=headers)
    message.envelope_sender = envelope
    return SimpleNamespace(message=message, esp_event=post)


def form(**fields: str) -> SimpleNamespace:
    return SimpleNamespace(POST=fields)


SIGNED = ("DKIM-Signature", "v=1; a=rsa-sha256; d=example.com; s=mail; b=abc")
ALIEN = ("DKIM-Signature", "v=1; a=rsa-sha256; d=evil.example; s=mail; b=abc")


@pytest.mark.parametrize(
    "good",
    [
        event(),
        event(("Received-SPF", "Pass (sender SPF authorized) identity=mailfrom; client-ip=…")),
        event(("Received-SPF", "pass"), envelope="bounces@mail.example.com"),
        event(("X-Mailgun-Spf", "Pass"), ("X-Mailgun-Dkim-Check-Result", "Pass"), SIGNED),
        event(("X-Mailgun-Spf", "SoftFail"), ("X-Mailgun-Dkim-Check-Result", "Pass"), SIGNED),
        event(("X-Mailgun-Spf", "Pass"), ("X-Mailgun-Dkim-Check-Result", "Fail")),
        event(("Received-SPF", "pass"), envelope=None),
        event(post=form(SPF="pass", dkim="none")),
        event(post=form(SPF="fail", dkim="{@example.com : pass}")),
        event(post={"msg": {"spf": {"result": "pass"}, "dkim": {"signed": False, "valid": False}}}),
        event(post={"msg": {"dkim": {"signed": True, "valid": True}}}, envelope=None),
        event(("Authentication-Results", "mx.example.net; spf=fail; dkim=pass; dmarc=pass"), ALIEN),
        event(("Authentication-Results", "mx.example.net; spf=pass smtp.mailfrom=ann@example.com")),
        # What came with the mail stands below what the provider added.
        event(("Received-SPF", "pass"), ("Received-SPF", "fail")),
    ],
)
def test_sender_is_believed(good: SimpleNamespace) -> None:
    assert doubt(good, ANN) == ""


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        (event(("Received-SPF", "Fail (…)")), "SPF"),
        (event(("Received-SPF", "softfail")), "SPF"),
        (event(("Received-SPF", "None")), "SPF"),
        (event(("Received-SPF", "pass"), envelope="eve@evil.example"), "SPF"),
        (event(("X-Mailgun-Spf", "Fail"), ("X-Mailgun-Dkim-Check-Result", "Fail")), "SPF and DKIM"),
        (event(("X-Mailgun-Dkim-Check-Result", "Pass"), ALIEN), "DKIM"),
        (event(post=form(SPF="fail", dkim="{@evil.example : pass}")), "SPF and DKIM"),
        (event(post={"msg": {"spf": {"result": "neutral"}, "dkim": {"valid": False}}}), "SPF"),
        (event(("Authentication-Results", "mx; spf=pass; dkim=pass; dmarc=fail")), "DMARC"),
        (event(("Received-SPF", "fail"), ("Received-SPF", "pass")), "SPF"),
        (event(("Received-SPF", "pass"), envelope="ann@notexample.com"), "SPF"),
    ],
)
def test_sender_is_doubted(bad: SimpleNamespace, what: str) -> None:
    assert what in doubt(bad, ANN)
