"""The three providers of the proof: where they are, which of them fails, and what they know."""

import contextlib
import re
from collections.abc import Iterator
from typing import Self

from scripts.proof_judge import Ledger
from tests.standins import twilio
from tests.standins.faulty import Fates, FaultyMailServer, FaultySlack, FaultyTwilio
from tests.standins.slack import Posted

CHANNELS = ("slack", "email", "sms")
PEOPLE = 20
POST = "chat.postMessage"
TITLE = re.compile(r"Refund order (\d+)\b")


class Providers:
    """Slack, a mail server and Twilio on loopback; `failing` names the one that is not well."""

    def __init__(self) -> None:
        self.failing = ""
        self.slack = FaultySlack()
        self.mail = FaultyMailServer()
        self.twilio = FaultyTwilio()
        for number in range(PEOPLE):
            self.slack.workspace.add_person(slack_id(number), mailbox(number))

    @contextlib.contextmanager
    def running(self) -> Iterator[Self]:
        """Serve for as long as the context lasts."""
        with self.slack.running(), self.twilio.running():
            self.mail.start()
            try:
                yield self
            finally:
                self.mail.stop()

    @property
    def settings(self) -> dict[str, str]:
        """The environment of a server that uses them."""
        workspace = self.slack.workspace
        return {
            "SLACK_API_URL": self.slack.api_url,
            "SLACK_BOT_TOKEN": workspace.token,
            "SLACK_SIGNING_SECRET": workspace.signing_secret,
            "EMAIL_URL": self.mail.url,
            "DEFAULT_FROM_EMAIL": "hitl <approvals@example.com>",
            "TWILIO_API_URL": self.twilio.url,
            "TWILIO_ACCOUNT_SID": twilio.ACCOUNT,
            "TWILIO_AUTH_TOKEN": twilio.TOKEN,
            "TWILIO_FROM": twilio.NUMBER,
        }

    def begin(self, failing: str, *, share: float, seed: int) -> None:
        """Empty the ledgers and let one of them fail."""
        self.failing = failing
        self.slack.workspace.posts.clear()
        self.slack.answered.clear()
        self.mail.accepted.clear()
        self.twilio.messages.clear()
        fates = {name: Fates(share if name == failing else 0, seed) for name in CHANNELS}
        self.slack.fates = fates["slack"]
        self.mail.fates = fates["email"]
        self.twilio.fates = fates["sms"]

    def ledger(self, channel: str) -> Ledger:
        """What the provider of this channel knows."""
        return {"slack": self._slack, "email": self._mail, "sms": self._sms}[channel]()

    def _slack(self) -> Ledger:
        """An attempt looks for the message first, and ends with the first call that fails."""
        posts = self.slack.workspace.posts
        taken = [(f"{post.channel}:{post.ts}", _key(post)) for post in posts]
        fates, sends = self.slack.fates.of(), self.slack.fates.of(POST)
        looks = fates - sends
        broken_off = looks.total() - looks["well"]
        answered = frozenset(self.slack.answered)
        return Ledger(taken, sends.total() + broken_off, fates, answered)

    def _mail(self) -> Ledger:
        mails = self.mail.accepted
        taken = [(str(each["Message-ID"]), number_in(str(each["Subject"]))) for each in mails]
        fates = self.mail.fates.of()
        return Ledger(taken, fates.total(), fates)

    def _sms(self) -> Ledger:
        texts = self.twilio.messages
        taken = [(each["MessageSid"], number_in(each["Body"])) for each in texts]
        fates = self.twilio.fates.of()
        return Ledger(taken, fates.total(), fates)


def number_in(text: str) -> str:
    """The number of the request that a message is about."""
    found = TITLE.search(text)
    return found[1] if found else ""


def mailbox(number: int) -> str:
    """A person's address."""
    return f"person{number}@example.com"


def slack_id(number: int) -> str:
    """The same person in Slack."""
    return f"U0PERSON{number}"


def phone(number: int) -> str:
    """The same person's phone: a number that Ofcom keeps for drama."""
    return f"+447700900{number:03}"


def _key(post: Posted) -> str:
    return str((post.metadata or {})["event_payload"]["key"])
