"""Whether a mail comes from whom it says: what the provider that received it found out.

Believed is DMARC, or SPF or DKIM for the domain in From. Where the provider says nothing, the
token in the address has to do; so a pass that a header merely claims gains nothing, a fail counts.
"""

import re
from collections.abc import Iterator, Mapping
from email.utils import parseaddr
from typing import Any

Verdict = tuple[str, bool]


def doubt(event: Any, sender: str) -> str:
    """Why the provider does not believe that `sender` wrote; empty where it does, or is silent."""
    verdicts = dict(_verdicts(event, sender.rpartition("@")[2]))
    if verdicts.get("DMARC", True) and (not verdicts or any(verdicts.values())):
        return ""
    failed = " and ".join(name for name, passed in verdicts.items() if not passed)
    return f"The sender could not be verified ({failed} failed)."


def _verdicts(event: Any, domain: str) -> Iterator[Verdict]:
    """Each check that was made, and whether it passed for that domain."""
    results = _results(_top(event.message, "Authentication-Results"))
    spf = _spf(event) or results.get("spf", "")
    if spf:
        envelope = parseaddr(str(event.message.envelope_sender or ""))[1].rpartition("@")[2]
        yield "SPF", spf == "pass" and (not envelope or is_same(envelope, domain))
    dkim = _dkim(event, domain)
    if dkim is not None or "dkim" in results:
        passed = results.get("dkim") == "pass" if dkim is None else dkim
        yield "DKIM", passed and _is_signer(event.message, domain)
    if results.get("dmarc") in ("pass", "fail"):
        yield "DMARC", results["dmarc"] == "pass"


def _spf(event: Any) -> str:
    """Pass, fail and so on, from where Mailgun, SendGrid, Mandrill and Postmark say it."""
    said = (
        _top(event.message, "X-Mailgun-Spf")
        or _field(event, "SPF")
        or str(_at(event.esp_event, "msg", "spf", "result") or "")
        or _top(event.message, "Received-SPF")
    )
    return _first(r"[a-z]+", said.lower())


def _dkim(event: Any, domain: str) -> bool | None:
    """Whether a signature holds, from where Mailgun, SendGrid and Mandrill say it; None if not."""
    mailgun = _top(event.message, "X-Mailgun-Dkim-Check-Result")
    if mailgun:
        return mailgun.strip().lower() == "pass"
    sendgrid = _field(event, "dkim")  # {@example.com : pass, @other.example : fail}
    if sendgrid:
        found = re.findall(r"@([\w.-]+)\s*:\s*(\w+)", sendgrid)
        return any(said == "pass" and is_same(signer, domain) for signer, said in found)
    mandrill = _at(event.esp_event, "msg", "dkim")
    return None if mandrill is None else _at(mandrill, "valid") is True


def _is_signer(mail: Any, domain: str) -> bool:
    """Whether one of the signatures is the domain's; what is not there cannot be another's."""
    signatures = [str(each) for each in mail.get_all("DKIM-Signature", [])]
    signers = [_first(r"(?<=\bd=)[\w.-]+", each) for each in signatures]
    return not signers or any(is_same(signer, domain) for signer in signers)


def is_same(one: str, other: str) -> bool:
    """Whether two domains belong together: the same, or one below the other."""
    one, other = one.lower(), other.lower()
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


def _results(header: str) -> dict[str, str]:
    """The outcomes in an Authentication-Results header (RFC 8601)."""
    return dict(re.findall(r"\b(spf|dkim|dmarc)=(\w+)", header.lower()))


def _top(mail: Any, name: str) -> str:
    """The topmost header of that name: the newest, and so the provider's if it adds one."""
    return str((mail.get_all(name) or [""])[0])


def _field(event: Any, name: str) -> str:
    """A field of the form that was posted, if it was one."""
    return str(getattr(event.esp_event, "POST", {}).get(name, ""))


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[0] if found else ""


def _at(data: Any, *path: str) -> Any:
    for name in path:
        data = data.get(name) if isinstance(data, Mapping) else None
    return data
