"""The contract of a channel: plain data in, a provider's words out, no books and no models."""

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from django.conf import settings

from hitl.lib.errors import HitlError


@dataclass(frozen=True)
class Choice:
    """One thing the receiver can do; `decision` is what the link or button stands for."""

    decision: str
    label: str
    style: str = ""  # primary or danger


@dataclass(frozen=True)
class Fact:
    """One line of what will happen, drawn from the stored data and never from the agent's prose."""

    label: str
    value: str


@dataclass(frozen=True)
class Message:
    """Everything a channel needs to draw one message; stored with the delivery for retries.

    `expires_at` is ISO 8601 (UTC). `url` is the page for people with a login; the personal link
    carries a token that exists only while the message is being sent.
    """

    kind: str  # approval, outcome, reminder
    subject: str
    title: str
    team: str
    agent: str
    action_type: str
    risk: str
    facts: list[Fact] = field(default_factory=list)
    facts_left_out: int = 0
    reason: str = ""  # the agent's own words, shown boxed and labelled as such
    fingerprint: str = ""
    expires_at: str = ""
    on_timeout: str = ""
    url: str = ""
    thread: str = ""  # the same for all messages about one workflow
    choices: list[Choice] = field(default_factory=list)
    outcome: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Message":
        facts = [Fact(**fact) for fact in data.get("facts", [])]
        choices = [Choice(**choice) for choice in data.get("choices", [])]
        return cls(**{**data, "facts": facts, "choices": choices})


@dataclass(frozen=True)
class Receipt:
    """The provider's word that it took the message: its ids, to find the message again."""

    provider_ids: dict[str, str] = field(default_factory=dict)
    delivered: bool = False  # some providers only promise, some have already handed it over


class ChannelError(HitlError):
    """The provider did not take the message. `permanent` means trying again is pointless."""

    code = "channel"
    status = 502
    title = "The message could not be sent"

    def __init__(
        self, detail: str, *, permanent: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(detail)
        self.permanent = permanent
        self.retry_after = retry_after


class Channel:
    """One provider. Subclasses translate; `deliveries.services` keeps the books."""

    name: ClassVar[str]
    label: ClassVar[str]
    contact_kind: ClassVar[str]  # which kind of contact point it sends to
    settings: ClassVar[tuple[str, ...]] = ()  # all filled: the channel is on

    @classmethod
    def is_on(cls) -> bool:
        """Whether everything this channel needs is configured (or the sandbox stands in)."""
        return all(getattr(settings, name, "") for name in cls.settings)

    def send(self, message: Message, *, to: str, key: str, link: str = "") -> Receipt:
        """Hand one message to the provider.

        `key` is stable over retries (the provider's idempotency key where it has one); `link` is
        the receiver's personal address for this message. Raises ChannelError.
        """
        raise ChannelError(f"{self.name} cannot send", permanent=True)
