"""Proves that an address is a person's: a link or a code is written there, and the person brings
it back while logged in.

Written at once, while the person waits, and outside any transaction: a failure is told, pressing
again is the retry. Limited, since the address may be somebody else's.
"""

import secrets

from django.core import signing
from django.core.cache import cache
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac

from deliveries.channels import CHANNELS
from deliveries.channels.base import Channel, Note, Proof
from hitl.accounts import contacts, kinds, linking
from hitl.accounts.models import ContactPoint, User
from hitl.lib import limits
from hitl.lib.errors import Conflict, FieldError, Forbidden, HitlError, InvalidInput, NotFound
from hitl.lib.urls import absolute

CODE_SECONDS, CODE_TRIES = 600, 5
LINK_SECONDS = 24 * 3600
HOUR = 3600
# What one person may have written, and what one address may get from all of them.
A_PERSON_AN_HOUR, AN_ADDRESS_AN_HOUR = 20, 5
_SALT = "deliveries.proofs"


class ChannelOff(Conflict):
    """No channel that is on writes to such addresses."""

    code = "channel-off"
    title = "This server does not write to such addresses"


class AlreadyProved(Conflict):
    """The address is on the list and proved."""

    code = "already-proved"
    title = "This address is yours already"


class LinkGone(HitlError):
    """A link that is too old, or whose address has been removed."""

    code = "link-gone"
    status = 410
    title = "This link is no longer valid"


class NotForYou(Forbidden):
    """A link that was made for another person."""

    code = "somebody-else"
    title = "This link was made for somebody else"


def channel_of(kind: str) -> Channel:
    """The channel that is on and writes to such addresses. Raises ChannelOff."""
    for channel in CHANNELS.values():
        if channel.contact_kind == kind and channel.is_on():
            return channel()
    raise ChannelOff(f"This server does not write to anything like “{kinds.label(kind)}”.")


def begin(user: User, kind: str, text: str = "") -> ContactPoint:
    """Put an address on the person's list, and write to it what proves that it is theirs.

    Raises InvalidInput, ChannelOff, AddressTaken, AlreadyProved, TooManyAddresses, TooOften, and
    ChannelError where it could not be written: then it stays on the list, to be tried again.
    """
    channel = channel_of(kind)
    if channel.proof not in (Proof.LINK, Proof.CODE, Proof.LOOKUP):
        raise ChannelOff("Such an address cannot be typed in.")
    if channel.proof == Proof.LOOKUP:
        limits.spend("look-up", str(user.pk), times=A_PERSON_AN_HOUR, seconds=HOUR)
        address = _looked_up(channel, user)
    else:
        address = channel.read_address(text)
    point = contacts.add(user, kind, address)
    if point.verified_at:
        raise AlreadyProved(f"{address} is on your list already.")
    _write(channel, point)
    return point


def again(user: User, point_id: int) -> ContactPoint:
    """Write the link or code once more. Raises as `begin` does, and NotFound."""
    point = contacts.get(user, point_id)
    if point.verified_at:
        raise AlreadyProved(f"{point.address} is confirmed already.")
    _write(channel_of(point.kind), point)
    return point


def start_link(user: User, kind: str) -> str:
    """Where the person begins to write to us from the account that is to be linked.

    Raises ChannelOff or ChannelError.
    """
    channel = channel_of(kind)
    if channel.proof != Proof.START:
        raise ChannelOff("Such an address is not linked by writing to us.")
    return channel.start_link(linking.issue(user, kind))


def enter_code(user: User, point_id: int, code: str) -> ContactPoint:
    """The code that came by text message. Raises NotFound, TooOften, InvalidInput, AddressTaken."""
    point = contacts.get(user, point_id)
    limits.spend("proof-code", str(point.pk), times=CODE_TRIES, seconds=CODE_SECONDS)
    known = cache.get(_code_key(point))
    typed = "".join(code.split())
    if not known:
        raise _wrong_code("The code has expired: have a new one sent.")
    if not constant_time_compare(known, _digest(point, typed)):
        raise _wrong_code("This is not the code that was sent.")
    cache.delete(_code_key(point))
    return contacts.prove(point)


def read_link(user: User, token: str) -> ContactPoint:
    """The address that a link proves. Raises LinkGone, or NotForYou for another person's link."""
    try:
        point_id, user_id, address = signing.loads(token, salt=_SALT, max_age=LINK_SECONDS)
    except (signing.BadSignature, ValueError, TypeError):
        raise LinkGone("It is too old, or not complete: have a new one sent.") from None
    if user_id != str(user.pk):
        raise NotForYou(f"You are logged in as {user.email}. Nothing has been changed.")
    try:
        point = contacts.get(user, point_id)
    except NotFound:
        raise LinkGone("The address has been removed meanwhile.") from None
    if point.address != address:
        raise LinkGone("The address has been changed meanwhile.")
    return point


def confirm(user: User, token: str) -> ContactPoint:
    """The person opened the link and said yes. Raises as `read_link`, and AddressTaken."""
    return contacts.prove(read_link(user, token))


def write_test(user: User, point_id: int) -> ContactPoint:
    """Write a few words to a proved address.

    Raises NotFound, ChannelOff, TooOften or ChannelError.
    """
    point = contacts.get(user, point_id)
    if not point.verified_at:
        raise NotFound("There is no such confirmed address among yours.")
    channel = channel_of(point.kind)
    _limit(point)
    channel.say(test_note(), to=point.address)
    return point


def test_note() -> Note:
    """What a test says."""
    return Note(
        subject="A test message from hitl",
        text="This is a test. Requests for your approval will arrive here.",
    )


def _looked_up(channel: Channel, user: User) -> str:
    address = channel.look_up(user.email)
    if address is None:
        raise NotFound(
            f"{channel.label} knows nobody with the address {user.email}, with which you log in "
            "here. Let the address be the same in both places."
        )
    return address


def _write(channel: Channel, point: ContactPoint) -> None:
    contacts.check_free(point.user, point.kind, point.address)
    _limit(point)
    if channel.proof == Proof.CODE:
        channel.say(_code_note(point), to=point.address)
    else:
        channel.say(_link_note(point), to=point.address)


def _limit(point: ContactPoint) -> None:
    limits.spend("proof", str(point.user_id), times=A_PERSON_AN_HOUR, seconds=HOUR)
    whose = f"{point.kind}:{point.address}"
    limits.spend("proof-to", whose, times=AN_ADDRESS_AN_HOUR, seconds=HOUR)


def _code_note(point: ContactPoint) -> Note:
    code = f"{secrets.randbelow(10**6):06d}"
    cache.set(_code_key(point), _digest(point, code), CODE_SECONDS)
    return Note(
        subject="Your code",
        text=f"hitl: {code} is your code to get approval requests on this phone. It is good for "
        f"{CODE_SECONDS // 60} minutes. If you did not ask for it, ignore this text.",
    )


def _link_note(point: ContactPoint) -> Note:
    # No name: it is the person's own words, and the address may be a stranger's.
    token = signing.dumps([point.pk, str(point.user_id), point.address], salt=_SALT)
    return Note(
        subject="Confirm that requests may be sent here",
        text=f"{point.user.email} asked hitl to send requests for approval here.\n"
        "If that was you, open the page while you are logged in, and confirm. If not, ignore this: "
        "nothing more will come.",
        url=absolute(reverse("me-confirm", args=[token])),
        label="Confirm",
    )


def _code_key(point: ContactPoint) -> str:
    return f"proof-code:{point.pk}"


def _digest(point: ContactPoint, code: str) -> str:
    return salted_hmac(_SALT, f"{point.pk}:{code}", algorithm="sha256").hexdigest()


def _wrong_code(sentence: str) -> InvalidInput:
    return InvalidInput(sentence, [FieldError("/code", sentence)])
