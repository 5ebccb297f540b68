"""What people do inside a channel, acted on: every answer goes through `services.decide`.

The channel has checked the post's signature; here it is checked that the button belongs to the
message it came from, who the sender is to us, and how far that is enough at this risk.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from deliveries import selectors as deliveries
from deliveries import services as delivery_services
from deliveries.channels.base import Channel, ChannelError, FormField, Reply
from deliveries.models import Delivery
from hitl.accounts import linking
from hitl.accounts import selectors as accounts
from hitl.accounts.models import User
from hitl.lib import limits
from hitl.lib.actor import Actor
from hitl.lib.errors import HitlError, InvalidInput
from hitl.lib.urls import absolute
from workflows import aside, cases, channel_forms, services
from workflows.errors import AlreadyDecided, Expired, NotYours, verdict_sentence
from workflows.models import Risk, Verdict, Workflow

CODE_TRIES, CODE_TRIES_SECONDS = 5, 600

NOT_THIS_MESSAGE = "This button does not belong to this message, so nothing has been decided."
UNKNOWN_CODE = "This code is not known or no longer valid. Open the link in the message instead."
TOO_MANY = "Too many wrong codes, or no way to count them. Open the link in the message instead."
UNCLEAR = "I could not read a clear answer. Reply YES or NO with the code of the message."
WAITS = "Your answer is on record; the request still waits for others."
ASKED_AGAIN = "This request was asked again; answer the newer message."


class NotFromHere(HitlError):
    """The post is genuine, but it cannot decide this; `detail` is for the person."""

    code = "not-from-here"
    status = 403
    title = "This cannot be decided from here"


@dataclass(frozen=True)
class Outcome:
    """What to tell the person: a problem, or a confirmation where no message is rewritten."""

    problem: str = ""
    notice: str = ""


def act(channel: Channel, reply: Reply) -> Outcome:
    """Do what one reply asks for, once; repeats change nothing."""
    try:
        if reply.action == "link":
            return Outcome(notice=_link(channel, reply))
        if reply.action == "say":
            return Outcome(problem=UNCLEAR if _person(channel, reply) else "")
        return _answer(channel, reply)
    except InvalidInput as error:
        first = error.errors[0].message if error.errors else ""
        return Outcome(problem=first or str(error))
    except HitlError as error:
        return Outcome(problem=str(error))


def _answer(channel: Channel, reply: Reply) -> Outcome:
    delivery = _delivery(channel, reply)
    workflow = Workflow.objects.select_related("agent", "team", "responded_by").get(
        pk=delivery.workflow_id
    )
    person = _person(channel, reply)
    if person is None:
        _refuse(workflow.pk, Actor("stranger", reply.sender, reply.sender), channel, "not linked")
        where = absolute("/me/")
        raise NotFromHere(f"This {channel.label} account is linked to nobody here: see {where}")
    _check_open(workflow, delivery)
    try:
        _check_risk(channel, workflow)
        check_factor(workflow, delivery)
        if reply.action != "decide":
            return _ask(channel, reply, workflow, delivery)
        return _decide(channel, reply, workflow, delivery, person)
    except (AlreadyDecided, Expired) as error:
        delivery_services.refresh(delivery.pk, outcome=verdict_sentence(error.workflow))
        raise
    except (NotYours, NotFromHere) as error:
        _refuse(workflow.pk, person.actor, channel, str(error))
        raise


def _delivery(channel: Channel, reply: Reply) -> Delivery:
    """The message the reply belongs to. Raises NotFromHere when it belongs to none."""
    if reply.code and not reply.reference:
        return _by_code(channel, reply)
    reference = _uuid(reply.reference)
    found = deliveries.get(reference) if reference else None
    if found is None:
        raise NotFromHere(NOT_THIS_MESSAGE)
    if found.channel != channel.name or not _is_there(found, reply.place):
        person = _person(channel, reply)
        who = person.actor if person else Actor("stranger", reply.sender, reply.sender)
        _refuse(found.workflow_id, who, channel, NOT_THIS_MESSAGE)
        raise NotFromHere(NOT_THIS_MESSAGE)
    return found


def _is_there(delivery: Delivery, place: dict[str, str]) -> bool:
    """Whether it was pressed in the very message we sent: values can be copied elsewhere."""
    return all(str(delivery.metadata.get(key)) == value for key, value in place.items())


def _by_code(channel: Channel, reply: Reply) -> Delivery:
    """Every try is counted before it is looked at, or many at once would count as one."""
    whose = f"{channel.name}:{reply.sender}"
    try:
        limits.spend("reply-code", whose, times=CODE_TRIES, seconds=CODE_TRIES_SECONDS)
    except limits.TooOften:
        raise NotFromHere(TOO_MANY) from None
    found = deliveries.by_code(channel.name, reply.sender, reply.code)
    if found is None:
        raise NotFromHere(UNKNOWN_CODE)
    limits.give_back("reply-code", whose)
    return found


def _person(channel: Channel, reply: Reply) -> User | None:
    return accounts.by_contact(channel.contact_kind, reply.sender)


def _check_open(workflow: Workflow, delivery: Delivery) -> None:
    if delivery.round != workflow.asked_round:
        raise NotFromHere(ASKED_AGAIN)


def _check_risk(channel: Channel, workflow: Workflow) -> None:
    """High risk is decided on a page that asks to log in; so is all but low risk by phone."""
    enough = (Risk.LOW,) if channel.name == "sms" else (Risk.LOW, Risk.MEDIUM)
    if workflow.is_open and workflow.risk not in enough:
        page = absolute(f"/workflows/{workflow.pk}/")
        raise NotFromHere(f"At this risk please log in to decide: {page}")


def check_factor(workflow: Workflow, delivery: Delivery) -> None:
    """What the policy wants shown in the open stage cannot be shown in a channel."""
    if delivery.stage == workflow.stage and cases.wants_second_factor(workflow):
        page = absolute(f"/workflows/{workflow.pk}/")
        raise NotFromHere(f"The policy asks for your second factor here; please decide on {page}")


def _ask(channel: Channel, reply: Reply, workflow: Workflow, delivery: Delivery) -> Outcome:
    """Open the form for a reason or for edits, beside the acknowledgement."""
    if not workflow.is_open:
        raise AlreadyDecided(workflow)
    fields: list[FormField] = []
    if reply.action == "ask_edits":
        fields = channel_forms.fields(workflow)
    message = delivery.to_message()

    def ask_or_say_why() -> None:
        try:
            channel.ask(reply, message, fields)
        except ChannelError as error:
            channel.tell(reply, str(error))

    aside.soon(ask_or_say_why)
    return Outcome()


def _decide(
    channel: Channel, reply: Reply, workflow: Workflow, delivery: Delivery, person: User
) -> Outcome:
    verdict = Verdict(reply.decision)
    edited: Any = None
    if verdict == Verdict.MODIFIED:
        edited = channel_forms.read(workflow, reply.values or {})
    decided = services.decide(
        workflow.pk,
        user=person,
        verdict=verdict,
        # What this very message showed: if other data is stored by now, the gate refuses.
        fingerprint=reply.fingerprint or delivery.to_message().fingerprint,
        source=channel.name,
        comment=reply.comment[:5000],
        response_data=edited,
        delivery_id=delivery.pk,
        strength=channel.name,
        stage=delivery.stage,
        round=delivery.round,
    )
    # The message that is rewritten tells the verdict; a vote among several rewrites nothing.
    is_shown = channel.can_update and not decided.workflow.is_open
    return Outcome(notice="" if is_shown else told(decided))


def told(decided: services.Decided) -> str:
    """What a person hears whose answer was taken."""
    return WAITS if decided.workflow.is_open else verdict_sentence(decided.workflow)


def _refuse(workflow_id: UUID, actor: Actor, channel: Channel, why: str) -> None:
    services.record_refusal(workflow_id, actor=actor, source=channel.name, why=why[:300])


def _link(channel: Channel, reply: Reply) -> str:
    user = linking.redeem(channel.contact_kind, reply.code, reply.sender)
    if user is None:
        raise NotFromHere("This code has expired; get a new one under “How to reach me”.")
    return f"Linked: from now on requests for {user} arrive here."


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
