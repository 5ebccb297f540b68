"""The Workflow Manager: the use cases of a request's life up to the verdict.

Every door (API, dashboard, admin, mail, commands) comes through `decide`: there is one gate. It
stands in `deciding`; what time does is in `pace`.
"""

import datetime as dt
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from deliveries import services as deliveries
from events import selectors as log
from events import services as events
from events.types import EventType, Source
from hitl.accounts import selectors as accounts
from hitl.accounts.models import Agent, User
from hitl.lib import canonical
from hitl.lib.actor import Actor
from hitl.lib.db import database_now
from hitl.lib.errors import FieldError, Forbidden, InvalidInput
from workflows import asking, cases, planning, ruling, selectors
from workflows.cases import CaseFile
from workflows.deciding import Decided, approve, conclude, decide, withdraw
from workflows.errors import AlreadyDecided, NotYours
from workflows.inputs import NewWorkflow
from workflows.models import Decision, Status, Verdict, View, Workflow
from workflows.pace import time_out
from workflows.planning import Plan
from workflows.policies.rules import APPROVE
from workflows.snapshot import snapshot
from workflows.transitions import amend, lock, transition

__all__ = [
    "Decided",
    "cancel",
    "create",
    "decide",
    "mark_viewed",
    "record_refusal",
    "resend",
    "time_out",
    "withdraw",
]


@transaction.atomic
def create(
    agent: Agent,
    new: NewWorkflow,
    *,
    source: str = Source.API,
    actor: Actor | None = None,
    compensates: Workflow | None = None,
) -> Workflow:
    """Store a request, its first event and its deliveries; the people are told after commit.

    Where a rule decides, nobody is asked. `actor` is who asks where it is not the agent itself, and
    `compensates` the request whose action is to be undone. Raises InvalidInput for data, form,
    deadline, policy or people that cannot be accepted.
    """
    now = database_now()
    plan = planning.make(agent, new, now=now)
    workflow = _new(agent, new, plan, now)
    workflow.compensates = compensates
    file = cases.load(workflow, now=now)
    first = file.case.stage.index if file.case.stage else 0  # not 0 where that does not apply
    for name, value in asking.opening(workflow, file.policy, first, now=now).items():
        setattr(workflow, name, value)
    if not plan.is_decided:
        _check_somebody(file, new)
    workflow.save(force_insert=True)
    people = [] if plan.is_decided else asking.invitations(file)
    events.begin(
        EventType.WORKFLOW_CREATED,
        workflow_id=workflow.pk,
        team_id=workflow.team_id,
        actor=actor or agent.actor,
        source=source,
        data={
            "fingerprint": workflow.fingerprint,
            "approvers": [str(each.user) for each in people],
            "policy": plan.policy.get("from"),
            "rule": plan.ruling.why if plan.ruling.rule else None,
        },
        snapshot=snapshot(workflow),
        now=now,
    )
    if plan.is_decided:
        _apply_rule(workflow, plan, now=now)
    else:
        asking.ask(file, must_reach=True)
    return workflow


def _new(agent: Agent, new: NewWorkflow, plan: Plan, now: dt.datetime) -> Workflow:
    return Workflow(
        created_at=now,
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
        requester_email=new.requester,
        requester=plan.requester,
        policy=plan.policy,
        execution_plan=plan.execution,
        expires_at=plan.expires_at,
        timeout_action=plan.timeout_action,
        event_seq=1,
    )


def _check_somebody(file: CaseFile, new: NewWorkflow) -> None:
    """Raise InvalidInput where nobody, or too few, could ever answer what is asked first."""
    workflow, stage = file.workflow, file.case.stage
    if stage is None or not file.case.is_stuck:
        return
    if "from" in workflow.policy:
        message = (
            f"The policy {file.policy.name!r} asks more people in {stage.name!r} than may decide "
            "about this request: add people there, or name another policy."
        )
        where, code = "/policy" if new.policy else "", "nobody"
    elif new.approvers:
        message = "None of the people named may decide: name an approver of the team."
        where, code = "/approvers", "nobody"
    else:
        message = f"The team {workflow.team.name} has nobody who could approve: add an approver."
        where, code = "/approvers", "nobody"
    raise InvalidInput(message, [FieldError(where, message, code)])


def _apply_rule(workflow: Workflow, plan: Plan, *, now: dt.datetime) -> None:
    """Decide without a person, as a rule says; always visible as such."""
    said = plan.ruling
    verdict = Verdict.APPROVED if said.outcome == APPROVE else Verdict.REJECTED
    name = said.rule.name if said.rule else ""
    decision = Decision.objects.create(
        workflow=workflow,
        round=workflow.round,
        stage=workflow.stage,
        user=None,
        verdict=verdict,
        channel=Source.RULE,
        comment=said.why,
        fingerprint=workflow.fingerprint,
        is_effective=True,
        seq=workflow.event_seq + 1,
        decided_at=now,
    )
    common: dict[str, Any] = {
        "actor": Actor("system", "", f"the rule “{name}”"), "source": Source.RULE, "now": now,
        "data": {
            "decision": str(verdict), "decisionId": str(decision.pk), "rule": name,
            "why": said.why, "fingerprint": workflow.fingerprint,
        },
    }  # fmt: skip
    answer: dict[str, Any] = {
        "decision": verdict,
        "feedback": said.why,
        "responded_at": now,
        "responded_via": Source.RULE,
        "next_step_at": None,
    }
    ruling.note_use(workflow, said, now=now)
    if verdict == Verdict.APPROVED:
        approve(workflow, why=EventType.RULE_APPLIED, **common, **answer)
    else:
        transition(workflow, Status.REJECTED, EventType.RULE_APPLIED, **common, **answer)
        amend(workflow, EventType.WORKFLOW_REJECTED, **common)


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
        first, view.certain, view.viewed_at = True, True, timezone.now()
        view.save(update_fields=["certain", "viewed_at"])
    if first:
        amend(
            workflow,
            EventType.HUMAN_VIEWED,
            actor=user.actor,
            source=source,
            data={"certain": certain, "fingerprint": workflow.current_fingerprint},
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
    if workflow.compensates_id:
        raise Forbidden("Somebody of the team has asked for this compensation, so people decide.")
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
        next_step_at=None,
    )
    conclude(workflow)
    return workflow


@transaction.atomic
def record_refusal(workflow_id: UUID, *, actor: Actor, source: str, why: str) -> None:
    """Put an attempt that was refused on the record, where somebody will look for it.

    The same refusal of the same person is recorded once a round: trying again adds nothing.
    """
    workflow = lock(workflow_id)
    is_person = actor.kind in ("user", "stranger")
    if is_person and log.was_refused(workflow.pk, workflow.round, actor, why):
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
