"""E-mail over any Django mail backend: SMTP by EMAIL_URL, a provider by EMAIL_PROVIDER, or the
sandbox without either.

Links only ever open a page, whose POST decides: mail scanners follow links. Answers by mail count
where REPLY_ADDRESS is set; each mail then has an address of its own to answer to.
"""

import base64
import re
import secrets

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.http import HttpRequest

from deliveries.channels.base import (
    Channel,
    Health,
    Message,
    Note,
    Proof,
    Receipt,
    Reply,
    Report,
    bad_address,
)
from deliveries.channels.email import compose, inbound, provider, sending

TOKEN_BYTES = 20  # 160 bits in 32 letters, of which none depends on upper or lower case
CUT = re.compile(r"… \(\d+ more characters\)$")


class EmailChannel(Channel):
    """Asks by mail with one link per choice; tells by mail without any."""

    name = "email"
    label = "E-mail"
    contact_kind = "email"
    settings = ("EMAIL_URL",)
    codes_expire = False
    proof = Proof.LINK
    example = "ann@example.com"

    @classmethod
    def is_on(cls) -> bool:
        """Whether mail goes anywhere: to a server, a provider or the sandbox."""
        return sending.is_on()

    @classmethod
    def takes_posts(cls) -> bool:
        """Whether a provider may post here: only with a secret."""
        return provider.takes_posts()

    @classmethod
    def missing(cls) -> list[str]:
        """What the provider needs and does not have; a mail server's address is whole."""
        return provider.missing() if settings.EMAIL_PROVIDER else []

    @classmethod
    def read_address(cls, text: str) -> str:
        """Lower case, as it is compared everywhere."""
        address = super().read_address(text).lower()
        try:
            validate_email(address)
        except ValidationError:
            raise bad_address("This is not an e-mail address.") from None
        return address

    def new_code(self, message: Message) -> str:
        """The token of an address to answer to, where the mail shows all that is decided."""
        if not provider.takes_replies() or not may_reply(message):
            return ""
        return base64.b32encode(secrets.token_bytes(TOKEN_BYTES)).decode().lower()

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
        """Hand over one mail; its Message-ID is made from `key`, unless the provider gives one."""
        mail = compose.request(message, to=to, key=key, link=link, code=code)
        return Receipt({"messageId": sending.send(mail, secrets=(link, code))})

    def say(self, note: Note, *, to: str) -> None:
        """A short mail, with one button where there is a link."""
        sending.send(compose.note(note, to=to), secrets=(note.url,))

    def check(self) -> Health:
        """Connect, log in and name the sender, then hang up."""
        return sending.check()

    def verify(self, request: HttpRequest) -> None:
        """Check the basic-auth secret and the provider's signature."""
        provider.verify(request)

    def parse(self, request: HttpRequest) -> list[Reply | Report]:
        """The fate of our mails, or answers to them."""
        found = (_translate(event) for event in provider.events(request))
        return [each for each in found if each is not None]

    def tell(self, reply: Reply, text: str) -> None:
        """Answer a mail, in its thread."""
        sending.send(compose.answer(reply, text), secrets=(reply.code,))


def may_reply(message: Message) -> bool:
    """Whether a reply may decide: only where the link would, and on nothing but what is shown."""
    shown_in_full = not message.facts_left_out and not message.deceptive
    whole = shown_in_full and not any(CUT.search(fact.value) for fact in message.facts)
    return bool(message.choices) and not message.login_needed and not message.page_only and whole


def _translate(event: object) -> Reply | Report | None:
    is_mail = getattr(event, "event_type", "") == "inbound"
    return inbound.reply(event) if is_mail else inbound.report(event)
