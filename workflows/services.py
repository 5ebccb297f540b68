"""The Workflow Manager: the use cases of a request's life up to the verdict.

Every door (API, dashboard, admin, mail, commands) comes through `decide`: there is one gate.
"""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db import transaction

from deliveries import routing
from deliveries import services as deliveries
from deliveries.wakeups import SEND, wake
from events import selectors as log
from events import services as events
from events.types import EventType, Source
from hitl.accounts import selectors as accounts
from hitl.accounts.models import Agent, User
from hitl.lib import canonical
from hitl.lib.actor import SYSTEM, Actor
from hitl.lib.db import database_now
from hitl.lib.errors import FieldError, Forbidden, InvalidInput
from workflows import diff, guests, json_schema, messages, planning, policies, selectors
from workflows.errors import (
    AlreadyDecided,
    DigestMismatch,
    Expired,
    NotYours,
    verdict_sentence,
)
from workflows.inputs import NewWorkflow
from workflows.models import (
    Decision,
    Executor,
    Status,
    TimeoutAction,
    Verdict,
    View,
    Workflow,
)
from workflows.policies import Vote
from workflows.snapshot import snapshot
from workflows.transitions import amend, lock, transition
from workflows.wakeups import poke_execution

NOBODY = (
    "Nobody who is asked can be reached over the channels of this server: let one of them add an "
    "address under “How to reach me”, name somebody else, or configure mail."
)


@dataclass(frozen=True)
class Decided:
    """What came of a decision. `replayed`: the same person had given the same answer before."""

    workflow: Workflow
    decision: Decision
    replayed: bool = False


@transaction.atomic
def create(agent: Agent, new: NewWorkflow, *, source: str = Source.API) -> Workflow:
    """Store a request, its first event and its deliveries; the people are told after commit.

    Raises InvalidInput for data, form, deadline or people that cannot be accepted.
    """
    now = database_now()
    plan = planning.make(agent, new, now=now)
    workflow = Workflow.objects.create(
        team=agent.team,
        agent=agent,
        name=new.name or f"{agent.name} wants to {new.action_type}",
        reason=new.reason,
        action_type=new.action_type,
        action_data=new.action_data,
        fingerprint=canonical.fingerprint(new.action_data),
        ui_schema=plan.ui_schema,
        risk=plan.risk,
        metadata=new.metadata,
        approver_emails=new.approvers,
        policy=plan.policy,
        execution_plan=plan.execution,
        expires_at=plan.expires_at,
        timeout_action=plan.timeout_action,
        event_seq=1,
    )
    events.begin(
        EventType.WORKFLOW_CREATED,
        workflow_id=workflow.pk,
        team_id=workflow.team_id,
        actor=agent.actor,
        source=source,
        data={"fingerprint": workflow.fingerprint, "approvers": [str(p) for p in plan.people]},
        snapshot=snapshot(workflow),
        now=now,
    )
    _ask(workflow, plan.people, now=now)
    return workflow


def _ask(workflow: Workflow, people: list[User], *, now: Any) -> None:
    """Write to everybody who is asked. Raises InvalidInput where nobody can be reached."""
    members = [person for person in people if str(person.pk) not in guests.addresses(workflow)]
    to_members = routing.first_wave(members)
    to_guests = guests.recipients(workflow, people)
    if routing.anything_is_on() and not to_members and not to_guests:
        raise InvalidInput(NOBODY, [FieldError("/approvers", NOBODY, "unreachable")])
    message = messages.approval(workflow)
    # The dashboard lets no guest in.
    for recipients, says in ((to_members, message), (to_guests, replace(message, url=""))):
        rows = deliveries.request(
            recipients,
            says,
            workflow_id=workflow.pk,
            team_id=workflow.team_id,
            round=workflow.round,
            now=now,
        )
        for row in rows:
            wake(SEND, row.pk)


def _conclude(workflow: Workflow) -> None:
    """Tell every copy of the question what became of it."""
    deliveries.conclude(workflow.pk, outcome=verdict_sentence(workflow), now=workflow.updated_at)


@transaction.atomic
def decide(
    workflow_id: UUID,
    *,
    user: User,
    verdict: Verdict,
    fingerprint: str,
    source: str,
    comment: str = "",
    response_data: Any = None,
    delivery_id: UUID | None = None,
    strength: str = "session",
) -> Decided:
    """Record one person's answer: the only way to a verdict.

    `fingerprint` is that of the data the person saw. `response_data` is the complete edited data
    (verdict `modified`). Repeating the same answer returns the first one. Raises NotFound,
    NotYours, AlreadyDecided, Expired, DigestMismatch or InvalidInput; then nothing has changed.
    """
    workflow = lock(workflow_id)
    _check_standing(workflow, user, strength)
    earlier = workflow.decisions.filter(round=workflow.round, user=user).first()
    if workflow.status != Status.PENDING and earlier is None:
        raise AlreadyDecided(workflow)
    verdict, edits = _judge_edits(workflow, verdict, response_data)
    if earlier and _is_same(earlier, verdict, fingerprint, edits):
        return Decided(workflow, earlier, replayed=True)
    if workflow.status != Status.PENDING:
        raise AlreadyDecided(workflow)
    now = database_now()
    if workflow.is_late(now):
        raise Expired(workflow)
    votes = _votes(workflow)
    stage = policies.current_stage(workflow.policy, votes) or 0
    leaves = _check_may_decide(workflow, user, stage)
    if fingerprint != workflow.fingerprint:
        raise DigestMismatch
    vote = Vote(str(user.pk), stage, verdict, frozenset(leaves))
    outcome = policies.outcome(workflow.policy, [*votes, vote])
    decision = Decision.objects.create(
        workflow=workflow,
        round=workflow.round,
        stage=stage,
        counts_for=leaves,
        user=user,
        verdict=verdict,
        channel=source,
        comment=comment,
        edits=edits,
        fingerprint=fingerprint,
        is_effective=outcome is not None,
        strength=strength,
        delivery_id=delivery_id,
        decided_at=now,
    )
    _apply(workflow, decision, outcome, response_data=response_data)
    return Decided(workflow, decision)


def _check_standing(workflow: Workflow, user: User, strength: str) -> None:
    """A stranger to the team learns nothing, not even that the request exists."""
    member = accounts.membership(workflow.team_id, user.pk)
    if member is None:
        hindrance = guests.hindrance(workflow, user.pk)
        if hindrance or strength not in (guests.BY_LINK, guests.BY_REPLY):
            raise NotYours(hindrance or "Guests decide by the link in their mail alone.")
    elif not member.may_decide:
        raise NotYours(f"Your role in {workflow.team.name} is {member.role}: you may look only.")


def _check_may_decide(workflow: Workflow, user: User, stage: int) -> list[str]:
    """The places in the policy this person answers for. Raises NotYours where there are none."""
    if workflow.agent.owner_id == user.pk and not workflow.policy.get("allowOwner"):
        raise NotYours("You own the agent that asks, so somebody else has to decide.")
    leaves = policies.leaves_for(workflow.policy, stage, str(user.pk))
    if not leaves:
        raise NotYours("This request asks other people; you are not one of them.")
    return leaves


def _judge_edits(
    workflow: Workflow, verdict: Verdict, response_data: Any
) -> tuple[Verdict, list[dict[str, Any]] | None]:
    """Validate edits and turn "modified" without a difference into a plain approval."""
    if verdict != Verdict.MODIFIED:
        return verdict, None
    if workflow.ui_schema is None:
        message = "This request has no form, so its data cannot be edited: approve or reject it."
        raise InvalidInput(message, [FieldError("/responseData", message)])
    if response_data is None:
        message = "Send the complete edited data with the decision `modified`."
        raise InvalidInput(message, [FieldError("/responseData", message)])
    json_schema.check_edit(
        workflow.ui_schema, workflow.action_data, response_data, root="/responseData"
    )
    edits = diff.patch(workflow.action_data, response_data)
    return (Verdict.MODIFIED, edits) if edits else (Verdict.APPROVED, None)


def _is_same(
    earlier: Decision, verdict: Verdict, fingerprint: str, edits: list[dict[str, Any]] | None
) -> bool:
    return (
        earlier.verdict == verdict
        and earlier.fingerprint == fingerprint
        and (earlier.edits or None) == edits
    )


def _votes(workflow: Workflow) -> list[Vote]:
    return [
        Vote(str(row.user_id), row.stage, row.verdict, frozenset(row.counts_for))
        for row in workflow.decisions.filter(round=workflow.round)
    ]


def _apply(
    workflow: Workflow, decision: Decision, outcome: Verdict | None, *, response_data: Any
) -> None:
    """Write what the answer does: a vote on the record, or the verdict with all that follows."""
    actor = decision.user.actor if decision.user else SYSTEM
    source = decision.channel
    data = {
        "decision": str(decision.verdict),
        "decisionId": str(decision.pk),
        "comment": decision.comment,
        "fingerprint": decision.fingerprint,
        "edits": decision.edits,
        "strength": decision.strength,
    }
    if outcome is None:
        amend(
            workflow, EventType.HUMAN_RESPONDED, actor=actor, source=source, data=data,
            now=decision.decided_at,
        )  # fmt: skip
        return
    answer: dict[str, Any] = {
        "decision": outcome,
        "feedback": decision.comment,
        "responded_at": decision.decided_at,
        "responded_by": decision.user,
        "responded_via": source,
    }
    if outcome == Verdict.REJECTED:
        transition(
            workflow, Status.REJECTED, EventType.HUMAN_RESPONDED, actor=actor, source=source,
            data=data, now=decision.decided_at, **answer,
        )  # fmt: skip
        amend(workflow, EventType.WORKFLOW_REJECTED, actor=actor, source=source, data=data)
    else:
        if outcome == Verdict.MODIFIED:
            answer["response_data"] = response_data
            answer["response_fingerprint"] = canonical.fingerprint(response_data)
            data["responseFingerprint"] = answer["response_fingerprint"]
        _approve(workflow, actor=actor, source=source, data=data, now=decision.decided_at, **answer)
    _conclude(workflow)


def _approve(
    workflow: Workflow, *, why: EventType = EventType.HUMAN_RESPONDED, **rest: Any
) -> None:
    """APPROVED, with the obligation to execute where the server carries out."""
    by_agent = workflow.execution_plan["by"] == Executor.AGENT
    due = None if by_agent else rest["now"]
    transition(workflow, Status.APPROVED, why, execution_due_at=due, **rest)
    if not by_agent:
        poke_execution(workflow.pk)


@transaction.atomic
def mark_viewed(workflow_id: UUID, *, user: User, source: str, certain: bool = True) -> bool:
    """Record `human.viewed` once per person and round; True the first time.

    `certain` is False where only a link was opened: mail scanners follow links too. A certain
    view after an uncertain one is recorded as well.
    """
    workflow = lock(workflow_id)
    view, first = View.objects.get_or_create(
        workflow=workflow, round=workflow.round, user=user, defaults={"certain": certain}
    )
    if certain and not view.certain:
        # Until now only a link had been opened, perhaps by a scanner: this is the person.
        first, view.certain = True, True
        view.save(update_fields=["certain"])
    if first:
        amend(
            workflow,
            EventType.HUMAN_VIEWED,
            actor=user.actor,
            source=source,
            data={"certain": certain, "fingerprint": workflow.fingerprint},
        )
    return first


@transaction.atomic
def cancel(workflow_id: UUID, *, agent: Agent, reason: str = "") -> Workflow:
    """The agent withdraws its pending request. Repeating it changes nothing.

    Raises NotFound, Forbidden for another agent of the team, AlreadyDecided when it is too late.
    """
    workflow = lock(workflow_id, team_id=agent.team_id)
    if workflow.agent_id != agent.pk:
        raise Forbidden("Only the agent that asked may withdraw the request.")
    if workflow.status == Status.CANCELLED:
        return workflow
    if workflow.status != Status.PENDING:
        raise AlreadyDecided(workflow)
    transition(
        workflow,
        Status.CANCELLED,
        EventType.WORKFLOW_CANCELLED,
        actor=agent.actor,
        source=Source.API,
        data={"reason": reason, "fingerprint": workflow.fingerprint},
    )
    _conclude(workflow)
    return workflow


@transaction.atomic
def time_out(workflow_id: UUID) -> bool:
    """Let the deadline take effect if it has passed and nobody decided; True when it did.

    Judged by the database's clock under the lock: never early, and never after a verdict.
    """
    workflow = lock(workflow_id)
    now = database_now()
    if workflow.status != Status.PENDING or workflow.held_at or workflow.expires_at > now:
        return False
    data = {"timeoutAction": workflow.timeout_action, "fingerprint": workflow.fingerprint}
    common: dict[str, Any] = {
        "actor": SYSTEM, "source": Source.TIMEOUT_JOB, "data": data, "now": now
    }  # fmt: skip
    if workflow.timeout_action == TimeoutAction.HOLD:
        amend(workflow, EventType.WORKFLOW_HELD, held_at=now, **common)
    elif workflow.timeout_action == TimeoutAction.APPROVE:
        _approve_by_silence(workflow, **common)
        _conclude(workflow)
    else:
        transition(workflow, Status.TIMEOUT, EventType.WORKFLOW_TIMEOUT, **common)
        _conclude(workflow)
    return True


def _approve_by_silence(workflow: Workflow, *, now: Any, **common: Any) -> None:
    Decision.objects.create(
        workflow=workflow,
        round=workflow.round,
        user=None,
        verdict=Verdict.APPROVED,
        channel=Source.TIMEOUT_JOB,
        comment="Nobody answered in time, and silence approves this low-risk action type.",
        fingerprint=workflow.fingerprint,
        is_effective=True,
        decided_at=now,
    )
    _approve(
        workflow,
        why=EventType.WORKFLOW_TIMEOUT,
        now=now,
        decision=Verdict.APPROVED,
        responded_at=now,
        responded_via=Source.TIMEOUT_JOB,
        **common,
    )


@transaction.atomic
def record_refusal(workflow_id: UUID, *, actor: Actor, source: str, why: str) -> None:
    """Put an attempt that was refused on the record, where somebody will look for it.

    The same refusal of the same person is recorded once a round: trying again adds nothing.
    """
    workflow = lock(workflow_id)
    if actor.kind == "user" and log.was_refused(workflow.pk, workflow.round, actor, why):
        return
    amend(workflow, EventType.HUMAN_REFUSED, actor=actor, source=source, data={"reason": why})


def resend(delivery_id: UUID, *, user: User) -> None:
    """Send a message again at once, for somebody who may decide in its team.

    Raises NotFound, NotYours, or CannotResend with the reason.
    """
    delivery = selectors.delivery(delivery_id, user)
    member = accounts.membership(delivery.team_id, user.pk)
    if member is None or not member.may_decide:
        raise NotYours("Only approvers and managers may send a message again.")
    deliveries.retry_now(delivery.pk)
