"""Each channel: off, configured by halves, caught in the sandbox, or asked whether it works."""

from collections.abc import Iterator

from django.conf import settings
from django.utils import timezone

from deliveries import proofs
from deliveries.channels import CHANNELS
from deliveries.channels.base import Channel, ChannelError
from hitl.doctor import store
from hitl.doctor.findings import FAIL, OFF, OK, WARN, Finding
from hitl.lib.errors import InvalidInput

WAITS = "Messages over this channel are tried again for a while, then given up."
LOSES = "People are not reached, or their answers do not come back."


def look() -> list[Finding]:
    """Every channel, one after the other; real ones are called."""
    found = [each for kind in CHANNELS.values() for each in _one(kind)]
    if not any(kind.is_on() for kind in CHANNELS.values()):
        why = "Approvers learn of requests on the dashboard only."
        says = "No channel is on."
        found.append(Finding("channels", WARN, says, why, "Configure at least mail (EMAIL_URL)."))
    return found


def is_sandboxed(kind: type[Channel]) -> bool:
    """Whether the sandbox stands in for the provider."""
    return kind.name in settings.SANDBOX_ACCOUNTS or (settings.SANDBOX and kind.name == "email")


def _one(kind: type[Channel]) -> Iterator[Finding]:
    missing = kind.missing()
    if is_sandboxed(kind):
        yield Finding(kind.name, OK, "The sandbox catches everything; nobody is written to.")
    elif missing:
        says = f"Configured by halves: {', '.join(missing)} not set."
        why = "The channel stays off."
        yield Finding(kind.name, FAIL, says, why, "Set it too, or empty the others.")
    elif not kind.is_on():
        wanted = ", ".join(kind.settings)
        yield Finding(kind.name, OFF, "Off.", remedy=f"To switch it on, set {wanted}.")
    else:
        yield from _asked(kind())


def _asked(channel: Channel) -> Iterator[Finding]:
    try:
        health = channel.check()
    except ChannelError as error:
        remedy = f"Check {', '.join(channel.settings)}, and whether this machine may call out."
        yield Finding(channel.name, FAIL, str(error), WAITS, remedy)
        return
    yield Finding(channel.name, OK, health.says)
    for trouble in health.troubles:
        level = FAIL if trouble.is_fatal else WARN
        yield Finding(channel.name, level, trouble.says, LOSES, trouble.remedy)
    if health.time:
        compared = store.compare(health.time, timezone.now(), channel.label)
        if compared.level != OK:
            yield compared


def send_test(text: str) -> Finding:
    """Write a few words to `[channel:]address`. Raises InvalidInput where no channel fits."""
    channel, address = _addressed(text)
    try:
        channel.say(proofs.test_note(), to=address)
    except ChannelError as error:
        return Finding(channel.name, FAIL, f"The test to {address} failed: {error}", WAITS)
    where = " (in the sandbox)" if is_sandboxed(type(channel)) else ""
    return Finding(channel.name, OK, f"A test is on its way to {address}{where}.")


def _addressed(text: str) -> tuple[Channel, str]:
    name, _, rest = text.partition(":")
    if rest and name in CHANNELS:
        return CHANNELS[name](), CHANNELS[name].read_address(rest)
    for kind in CHANNELS.values():
        if kind.is_on() and (address := _fits(kind, text)):
            return kind(), address
    raise InvalidInput(
        f"No channel that is on writes to {text}. Name one: --send-test channel:address, with "
        f"{', '.join(CHANNELS)} as the channel."
    )


def _fits(kind: type[Channel], text: str) -> str:
    try:
        return kind.read_address(text)
    except InvalidInput:
        return ""
