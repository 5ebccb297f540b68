"""The contract of a channel: plain data in, a provider's words out, no books and no models."""

import datetime as dt
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpRequest

from hitl.lib.errors import FieldError, HitlError, InvalidInput

ADDRESS_LIMIT = 254


@dataclass(frozen=True)
class Choice:
    """One thing the receiver can do; `decision` is what the link or button stands for."""

    decision: str
    label: str
    style: str = ""  # primary or danger


@dataclass(frozen=True)
class Fact:
    """One line of what will happen, drawn from the stored data and never from the agent's prose.

    `label` may come from the agent's form; `path` is where the value stands in the data, empty
    where the label says the same.
    """

    label: str
    value: str
    path: str = ""


@dataclass(frozen=True)
class Message:
    """Everything a channel needs to draw one message; stored with the delivery for retries.

    `expires_at` is ISO 8601 (UTC). `url` is the page for people with a login; the personal link
    carries a token that exists only while the message is being sent. A message without `choices`
    only tells; `outcome` is the sentence it tells.
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
    deceptive: bool = False  # some text hides characters or mixes look-alike alphabets
    login_needed: bool = False  # the team wants more than a personal link at this risk
    progress: str = ""  # how far it is, like "1 of 2, waiting for Finance."
    notice: str = ""  # what has happened to it, like an edit by somebody who was asked before
    on_behalf: str = ""  # whom the receiver stands in for
    second_factor: bool = False  # an answer takes one, so it can be given on the page alone

    @property
    def page_only(self) -> bool:
        """Whether approving takes the page, whatever the channel proves about the receiver."""
        return self.second_factor or self.risk == "high"

    def as_dict(self) -> dict[str, Any]:
        """Plain data, as it is stored with the delivery."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Message":
        """The message that was stored, also by another release: unknown fields are left out."""
        known = _known(cls, data)
        known["facts"] = [Fact(**_known(Fact, fact)) for fact in data.get("facts", [])]
        known["choices"] = [Choice(**_known(Choice, part)) for part in data.get("choices", [])]
        return cls(**known)


def _known(shape: type[Any], data: dict[str, Any]) -> dict[str, Any]:
    names = {part.name for part in fields(shape)}
    return {name: value for name, value in data.items() if name in names}


@dataclass(frozen=True)
class Receipt:
    """The provider's word that it took the message: its ids, to find the message again."""

    provider_ids: dict[str, str] = field(default_factory=dict)
    delivered: bool = False  # some providers only promise, some have already handed it over


@dataclass(frozen=True)
class Reply:
    """What somebody did in a channel, translated. Only the signature has been checked so far.

    `action`: decide, ask_reason or ask_edits (open the form that asks), say (words without a
    clear verdict), link (`sender` proves to be whoever was shown `code`), mail (a letter in answer
    to ours, whose `decision` is empty where it is not clear). `reference` is our opaque delivery
    id from the button, `code` a reply code. `doubt` says why the provider does not believe that it
    was `sender` who wrote.
    `sender` is the provider's identity of the person in contact-point form; `place` is where it
    was pressed (must match the delivery's `metadata`); `handle` is what answering that very post
    needs; `event_id` is unique at the provider, so that repeats are recognised.
    """

    action: str
    sender: str
    reference: str = ""
    code: str = ""
    decision: str = ""
    comment: str = ""
    fingerprint: str = ""
    values: dict[str, list[str]] | None = None  # a form's fields, as a browser would post them
    place: dict[str, str] = field(default_factory=dict)
    handle: dict[str, str] = field(default_factory=dict)
    event_id: str = ""
    doubt: str = ""


@dataclass(frozen=True)
class Report:
    """A provider's later word on a message it took: delivered, or why not.

    With both it arrived, and something else is to be known about it.
    """

    provider_id: str
    delivered: bool = False
    error: str = ""


@dataclass(frozen=True)
class Answer:
    """The body with which a channel acknowledges a post."""

    body: str = ""
    content_type: str = "text/plain"
    status: int = 200


class Forged(HitlError):
    """An inbound post whose signature, age or shape is not right. Always 401, nothing explained."""

    code = "unauthenticated"
    status = 401
    title = "The signature is missing or wrong"


class ChannelError(HitlError):
    """The provider did not take the message. `permanent` means trying again is pointless.

    The sentence is stored and shown: it names neither the link nor anything of the message.
    """

    code = "channel"
    status = 502
    title = "The message could not be sent"

    def __init__(
        self, detail: str, *, permanent: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(detail)
        self.permanent = permanent
        self.retry_after = retry_after


@dataclass(frozen=True)
class FormField:
    """One input of a form inside a channel. `name` is what comes back in `Reply.values`."""

    name: str
    label: str
    kind: str = "text"  # text, long, number, choice, flag
    value: str = ""
    choices: list[tuple[str, str]] = field(default_factory=list)  # value, label
    help: str = ""
    required: bool = False
    read_only: bool = False


class Proof(StrEnum):
    """How people show that an address is theirs."""

    NONE = ""  # they cannot; an administrator vouches
    LINK = "link"  # they open a link that was written to it
    LOOKUP = "lookup"  # the same; the provider finds it by the address they log in with
    CODE = "code"  # they type a code that was written to it
    START = "start"  # they write to us, with a code that was shown to them


@dataclass(frozen=True)
class Note:
    """A few words to one person outside of any request: a code, a link to confirm, a test."""

    subject: str
    text: str
    url: str = ""
    label: str = ""  # what the button with the url says

    @property
    def in_words(self) -> str:
        """Everything as one text."""
        return f"{self.text} {self.url}".strip()


@dataclass(frozen=True)
class Trouble:
    """Something the provider told us, and what to do about it. Fatal: it costs messages."""

    says: str
    remedy: str
    is_fatal: bool = True


@dataclass(frozen=True)
class Health:
    """What a provider says about our account there; `time` is its clock, where it tells."""

    says: str
    troubles: tuple[Trouble, ...] = ()
    time: dt.datetime | None = None


class Channel:
    """One provider. Subclasses translate; `deliveries.services` keeps the books."""

    name: ClassVar[str]
    label: ClassVar[str]
    contact_kind: ClassVar[str]  # which kind of contact point it sends to
    contact_label: ClassVar[str] = ""  # what people call such a point, where not like the channel
    settings: ClassVar[tuple[str, ...]] = ()  # all filled: the channel is on
    can_update: ClassVar[bool] = False  # whether a sent message can be rewritten
    codes_expire: ClassVar[bool] = True  # whether reply codes live for minutes only
    proof: ClassVar[Proof] = Proof.NONE
    example: ClassVar[str] = ""  # an address as people type it

    @classmethod
    def is_on(cls) -> bool:
        """Whether everything this channel needs is configured (or the sandbox stands in)."""
        return all(getattr(settings, name, "") for name in cls.settings)

    @classmethod
    def takes_posts(cls) -> bool:
        """Whether its provider may post to us at all; without that there is no door."""
        return cls.is_on()

    @classmethod
    def missing(cls) -> list[str]:
        """Settings that are still empty although others are filled: configured by halves."""
        empty = [name for name in cls.settings if not getattr(settings, name, "")]
        return empty if len(empty) < len(cls.settings) else []

    @classmethod
    def read_address(cls, text: str) -> str:
        """An address as people type it, in the form it is stored. Raises InvalidInput."""
        address = text.strip()
        if not address or len(address) > ADDRESS_LIMIT or not address.isprintable():
            raise bad_address("This is not an address.")
        return address

    def new_code(self, message: Message) -> str:
        """A fresh reply code for this message; empty where a reply may not decide.

        The caller keeps its books: lifetime, tries, and the address it was sent to.
        """
        return ""

    def send(
        self,
        message: Message,
        *,
        to: str,
        key: str,
        link: str = "",
        code: str = "",
        earlier: dict[str, str] | None = None,
    ) -> Receipt:
        """Hand one message to the provider.

        `key` is stable over retries (the provider's idempotency key where it has one); `link` is
        the receiver's personal address for this message, `code` what `new_code` gave for it.
        `earlier` are the provider's ids of the message that a reminder comes back to.
        Raises ChannelError.
        """
        raise ChannelError(f"{self.name} cannot send", permanent=True)

    def update(
        self,
        message: Message,
        *,
        to: str,
        provider_ids: dict[str, str],
        key: str = "",
        link: str = "",
    ) -> None:
        """Rewrite a message that went out, where the provider can (`can_update`).

        With `message.outcome` it tells that, and nothing can be pressed any more. Without, it is
        drawn as `send` draws it, with `key` and `link` in its buttons. Raises ChannelError.
        """

    def find(self, *, to: str, key: str, since: dt.datetime) -> Receipt | None:
        """The receipt of a message that may have gone out under `key` before its sender died."""
        return None

    def verify(self, request: HttpRequest) -> None:
        """Check signature and age on the raw body. Raises Forged: the default trusts nobody."""
        raise Forged

    def parse(self, request: HttpRequest) -> list[Reply | Report]:
        """Translate a verified post; what we do not know parses to an empty list."""
        return []

    def acknowledge(self, request: HttpRequest, problem: str = "") -> Answer:
        """What the provider wants to hear at once; `problem` is a sentence for the person."""
        return Answer()

    def tell(self, reply: Reply, text: str) -> None:
        """Tell the person who replied something in private. Raises ChannelError."""

    def ask(self, reply: Reply, message: Message, fields: list[FormField]) -> None:
        """Open the form that asks for a reason or for edits. Raises ChannelError."""

    def say(self, note: Note, *, to: str) -> None:
        """Write a few words to an address, once and at once. Raises ChannelError."""
        self.tell(Reply(action="say", sender=to), note.in_words)

    def look_up(self, email: str) -> str | None:
        """The address of the person with that e-mail address, for `Proof.LOOKUP`; None where
        the provider knows nobody. Raises ChannelError."""
        return None

    def start_link(self, code: str) -> str:
        """Where a person begins to write to us with that code, for `Proof.START`.

        Raises ChannelError.
        """
        raise ChannelError(f"{self.label} has no such link.", permanent=True)

    def check(self) -> Health:
        """Ask the provider whether our account works; nobody is written to.

        Raises ChannelError where it does not answer or does not know us.
        """
        return Health("It cannot be checked without sending.")


def bad_address(sentence: str) -> InvalidInput:
    """The error for an address that cannot be one."""
    return InvalidInput(sentence, [FieldError("/address", sentence)])
