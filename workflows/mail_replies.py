"""Answers by mail, acted on: only from the mailbox that was asked, to the address it was given.

Such an answer is worth what the personal link of the same mail is worth, and never decides at high
risk. Whoever is not known by a token hears nothing, so that no forged sender is ever written to.
"""

import logging

from deliveries import selectors as deliveries
from deliveries.channels.base import Channel, Reply
from deliveries.models import Delivery, ReplyCode
from events import selectors as log
from hitl.accounts import selectors as accounts
from hitl.accounts.models import User
from hitl.lib import limits
from hitl.lib.actor import Actor
from hitl.lib.errors import HitlError
from workflows import guests, links, repeats, services
from workflows.errors import NotYours, outcome_sentence
from workflows.inbound import ASKED_AGAIN, NotFromHere, Outcome, check_factor, told
from workflows.models import Risk, Verdict, Workflow

logger = logging.getLogger(__name__)

STRENGTH = guests.BY_REPLY
ANSWERS, ANSWERS_SECONDS = 5, 3600  # two machines that write to each other end here

UNCLEAR = (
    "I could not tell whether you approve or reject, so nothing has been decided. Please write "
    "just “approve” on the first line, or “reject” and your reason."
)
WHY = "Why not? Please write “reject” and your reason on the first line. Nothing has been decided."
NOT_ASKED = "This question was sent to another mailbox, so your answer has not been counted."
PLEASE_OPEN = "Nothing has been decided: please open the link in the mail instead."


def act(channel: Channel, reply: Reply) -> Outcome:
    """Do what one letter asks for, once; what comes back is written to its sender."""
    code = deliveries.by_reply_address(channel.name, reply.code)
    if code is None or repeats.is_repeated(channel.name, reply.event_id):
        return Outcome()
    try:
        outcome = _answer(channel, reply, code)
    except HitlError as error:
        outcome = Outcome(problem=str(error))
    return outcome if _may_be_told(code.delivery) else Outcome()


def _may_be_told(delivery: Delivery) -> bool:
    try:
        limits.spend("mail-answers", str(delivery.pk), times=ANSWERS, seconds=ANSWERS_SECONDS)
    except limits.TooOften:
        logger.warning("too many answers by mail", extra={"delivery": str(delivery.pk)})
        return False
    return True


def _answer(channel: Channel, reply: Reply, code: ReplyCode) -> Outcome:
    delivery = code.delivery
    rows = Workflow.objects.select_related("agent", "team", "responded_by")
    workflow = rows.get(pk=delivery.workflow_id)
    try:
        person = _person(reply, code, workflow)
        _check_risk(workflow)
        check_factor(workflow, delivery)
        if delivery.round == workflow.asked_round:
            return _decide(channel, reply, workflow, delivery, person)
    except (NotYours, NotFromHere, links.LinkVoid) as error:
        _refuse(workflow, reply, channel, error.detail)
        raise
    return Outcome(problem=ASKED_AGAIN)


def _refuse(workflow: Workflow, reply: Reply, channel: Channel, why: str) -> None:
    """On record once: a mailbox that tries again adds nothing."""
    who = Actor("stranger", reply.sender, reply.sender)
    if not log.was_refused(workflow.pk, workflow.round, who, why):
        services.record_refusal(workflow.pk, actor=who, source=channel.name, why=why)


def _person(reply: Reply, code: ReplyCode, workflow: Workflow) -> User:
    """Who was asked, if it is this mailbox that answers. Raises NotFromHere or LinkVoid."""
    delivery = code.delivery
    if reply.sender != delivery.recipient.lower() or delivery.user is None:
        raise NotFromHere(NOT_ASKED)
    if reply.doubt:
        raise NotFromHere(f"{reply.doubt} {PLEASE_OPEN}")
    if not _still_has(delivery.user, delivery.recipient):
        raise links.LinkVoid(f"This address is no longer yours here. {PLEASE_OPEN}")
    membership = accounts.membership(delivery.team_id, delivery.user.pk)
    if membership is None:
        links.check_guest(workflow, delivery.user)
    elif code.created_at < membership.role_since:
        raise links.LinkVoid(f"Your place in the team has changed since. {PLEASE_OPEN}")
    return delivery.user


def _still_has(user: User, address: str) -> bool:
    return user.email.lower() == address.lower() or accounts.by_contact("email", address) == user


def _check_risk(workflow: Workflow) -> None:
    if workflow.is_open and (workflow.risk == Risk.HIGH or not links.is_enough(workflow)):
        raise NotFromHere(f"At this risk an answer by mail is not enough. {PLEASE_OPEN}")


def _decide(
    channel: Channel, reply: Reply, workflow: Workflow, delivery: Delivery, person: User
) -> Outcome:
    if not workflow.is_open and not reply.decision:
        return Outcome(problem=outcome_sentence(workflow))
    if not reply.decision or (reply.decision == Verdict.REJECTED and not reply.comment):
        return Outcome(problem=WHY if reply.decision else UNCLEAR)
    decided = services.decide(
        workflow.pk,
        user=person,
        verdict=Verdict(reply.decision),
        # What this very mail showed: if other data is stored by now, the gate refuses.
        fingerprint=delivery.to_message().fingerprint,
        source=channel.name,
        comment=reply.comment,
        delivery_id=delivery.pk,
        strength=STRENGTH,
        stage=delivery.stage,
        round=delivery.round,
    )
    return Outcome(notice=told(decided))
