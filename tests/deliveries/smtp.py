"""A real mail server on loopback that does as it is told: accept, refuse, stall, hang up."""

import asyncio
import contextlib
import email
import email.policy
import socket
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from pytest_django import Settings

ANSWERS = {
    "refuse-recipient": "550 5.1.1 no such mailbox",
    "busy-recipient": "451 4.7.1 greylisted, try again later",
    "refuse-sender": "553 5.7.1 you may not send as this",
    "refuse-data": "554 5.7.1 message refused",
    "busy-data": "452 4.3.1 disk full",
}
STALL_SECONDS = 30.0


class MailServer:
    """`does` says what happens to the next mail; `accepted` is the ledger of what was taken."""

    def __init__(self) -> None:
        self.does = "accept"
        self.says = ""  # overrides the text of a refusal
        self.accepted: list[EmailMessage] = []
        self.attempts = 0
        self.port = free_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    @property
    def url(self) -> str:
        """As EMAIL_URL would name it."""
        return f"smtp://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()

    async def stall(self) -> None:
        """Keep the caller waiting, longer than any caller does."""
        await asyncio.sleep(STALL_SECONDS)

    def _answer(self) -> str:
        return self.says or ANSWERS[self.does]

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.attempts += 1
        if self.does == "refuse-sender":
            return self._answer()
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.does == "hang":
            await self.stall()
        if self.does.endswith("-recipient"):
            return self._answer()
        if self.does == "hang-up":
            hang_up(server)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.does in ("refuse-data", "busy-data"):
            return self._answer()
        assert isinstance(envelope.content, bytes)
        parsed = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.accepted.append(parsed)
        if self.does == "drop-after-data":
            hang_up(server)
        if self.does == "hang-after-data":
            await self.stall()
        return "250 OK"


def hang_up(server: SMTP) -> None:
    """Cut the connection without another word."""
    assert isinstance(server.transport, asyncio.Transport)
    server.transport.abort()


@contextlib.contextmanager
def mail_server(settings: Settings) -> Iterator[MailServer]:
    """A mail server that the settings point at, with a short patience."""
    server = MailServer()
    server.start()
    point_at(settings, server.port)
    try:
        yield server
    finally:
        server.stop()


def point_at(settings: Settings, port: int, **changes: Any) -> None:
    """Send mail to this port of loopback."""
    values = {
        "SANDBOX": False,
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": port,
        "EMAIL_URL": f"smtp://127.0.0.1:{port}",
        "EMAIL_TIMEOUT": 0.5,
        "DEFAULT_FROM_EMAIL": "hitl <approvals@hitl.example.com>",
    }
    for name, value in (values | changes).items():
        setattr(settings, name, value)


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    held: list[socket.socket] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                held.append(listener.accept()[0])

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
        for connection in held:
            connection.close()


def free_port() -> int:
    """A port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
