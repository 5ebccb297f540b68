"""Providers that fail a share of their calls: busy, too many, silent, or cut off after the deed.

What happens to each call is drawn from a seeded generator and written down, so that afterwards
everything the service believes can be held against what the providers know.
"""

import random
import re
import threading
from collections import Counter
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.deliveries.smtp import MailServer, hang_up
from tests.standins.server import Call, Said
from tests.standins.slack.server import SlackServer
from tests.standins.twilio import Twilio

KEY = re.compile(rb"event_payload\W+key\W+([0-9a-f-]{36})")
FAULTS = ("busy", "too many", "silent", "cut off")
ANSWERS: dict[str, str | Said] = {
    "well": "answer",
    "busy": Said(500, raw=b"unwell"),
    "too many": Said(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "1"}),
    "silent": "hang",
    "cut off": "drop",
}


class Fates:
    """`share` of the calls fail, each in one of four ways; `drawn` counts what was."""

    def __init__(self, share: float, seed: int) -> None:
        self.share = share
        self.drawn: Counter[tuple[str, str]] = Counter()
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def draw(self, what: str) -> str:
        """The fate of one call."""
        with self._lock:
            fails = self._random.random() < self.share
            fate = self._random.choice(FAULTS) if fails else "well"
            self.drawn[what, fate] += 1
            return fate

    def of(self, *names: str) -> Counter[str]:
        """How often each fate befell calls of these names; of any without one."""
        counted: Counter[str] = Counter()
        for (name, fate), times in self.drawn.items():
            if not names or name in names:
                counted[fate] += times
        return counted


class FaultySlack(SlackServer):
    """A share of the calls to the Web API fails."""

    def __init__(self) -> None:
        super().__init__()
        self.fates = Fates(0, 0)
        self.answered: set[str] = set()  # keys of messages whose first answer got through

    def next_behaviour(self, call: Call) -> str | Said:
        method = call.path.rpartition("/")[2]
        fate = self.fates.draw(method)
        if fate == "well" and method == "chat.postMessage":
            found = KEY.search(call.body)
            assert found
            self.answered.add(found[1].decode())
        return ANSWERS[fate]


class FaultyTwilio(Twilio):
    """A share of the texts fails."""

    def __init__(self) -> None:
        super().__init__()
        self.fates = Fates(0, 0)

    def next_behaviour(self, call: Call) -> str | Said:
        return ANSWERS[self.fates.draw("message")]


class FaultyMailServer(MailServer):
    """A share of the mails fails; SMTP's "too many" is a 4xx, with no time to wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.fates = Fates(0, 0)
        self._fate: dict[int, str] = {}

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        fate = self._fate[id(envelope)] = self.fates.draw("mail")
        if fate in ("busy", "too many"):
            return "451 4.3.0 busy" if fate == "busy" else "450 4.7.0 too many"
        if fate == "silent":
            await self.stall()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> Any:
        said = await super().handle_DATA(server, session, envelope)
        if self._fate.pop(id(envelope), "") == "cut off":
            hang_up(server)
        return said
