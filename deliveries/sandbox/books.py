"""What the played providers share: their accounts, who has a number with them, what they keep."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from deliveries.models import SandboxMessage
from hitl.accounts.models import User

Kind = SandboxMessage.Kind


@dataclass(frozen=True)
class Post:
    """A request that a provider makes to us, signed: bytes and headers, ready to go."""

    path: str
    body: bytes
    content_type: str
    headers: Mapping[str, str]


class Refusal(Exception):
    """A provider's no, with its own code (and HTTP status where it has one)."""

    def __init__(self, code: str | int, status: int = 400) -> None:
        super().__init__(str(code))
        self.code = code
        self.status = status


def played() -> list[str]:
    """The channels whose providers are played here."""
    return list(settings.SANDBOX_ACCOUNTS) if settings.SANDBOX else []


def account(channel: str) -> dict[str, str]:
    """Tokens and secrets of the provider's only customer: us."""
    found: dict[str, str] = settings.SANDBOX_ACCOUNTS[channel]
    return found


def is_same(given: str, expected: str) -> bool:
    """Whether a token is the one, told in constant time; an empty one never is."""
    return bool(expected) and hmac.compare_digest(
        given.encode("utf-8", "replace"), expected.encode()
    )


def number(user: User, digits: int) -> str:
    """Digits of the person's own, from the random end of their id."""
    return str(user.pk.int % 10**digits).zfill(digits)


def said(channel: str, recipient: str) -> Any:
    """Everything between us and one receiver, newest first."""
    return SandboxMessage.objects.filter(channel=channel, recipient=recipient)
