"""The gate: one person's answer, judged by the frozen policy under the lock of the request."""

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from deliveries import services as deliveries
from events.types import EventType
from hitl.accounts import selectors as accounts
from hitl.accounts.models import User
from hitl.lib import canonical
from hitl.lib.actor import SYSTEM
from hitl.lib.db import database_now
from hitl.lib.errors import FieldError, InvalidInput
from workflows import asking, cases, diff, guests, json_schema
from workflows.cases import CaseFile
from workflows.errors import (
    AlreadyDecided,
    AskedAgain,
    DigestMismatch,
    Expired,
    NotYours,
    StageMoved,
    StepUpNeeded,
    verdict_sentence,
)
from workflows.models import Decision, Executor, Status, Verdict, Withdrawal, Workflow
from workflows.policies import Case, Seat, Vote, plain
from workflows.transitions import amend, lock, transition
from workflows.wakeups import poke_execution

# What a person has shown besides being logged in.
SECOND_FACTORS = frozenset({"totp", "passkey", "recovery"})


@dataclass(frozen=True)
class Decided:
    """What came of a decision. `replayed`: the same person had given the same answer before."""

    workflow: Workflow
    decision: Decision
    replayed: bool = False


@dataclass(frozen=True)
class Answer:
    """What somebody sent. `behalf`: for whom, where they stand in for several; else None."""

    user: User
    verdict: Verdict
    fingerprint: str
    source: str
    comment: str
    response_data: Any
    delivery_id: UUID | None
    strength: str
    stage: int | None
    behalf: UUID | None

    @property
    def result(self) -> str:
        """The fingerprint of the data it would leave."""
        if self.verdict == Verdict.MODIFIED and self.response_data is not None:
            return canonical.fingerprint(self.response_data)
        return self.fingerprint


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
    stage: int | None = None,
    behalf: UUID | None = None,
    round: int | None = None,  # the wire name
) -> Decided:
    """Record one person's answer: the only way to a verdict.

    `fingerprint` is that of the data the person saw, `stage` the one they answer in (None: whoever
    repeats an answer gets the first one, in whatever stage it was). `response_data` is the complete
    edited data (verdict `modified`). `behalf` names whom a stand-in answers for. `round` is that in
    which they were asked; it may be left out only as long as there has been but one. Raises
    NotFound, NotYours, AskedAgain, AlreadyDecided, Expired, DigestMismatch, StageMoved,
    StepUpNeeded or InvalidInput; then nothing has changed.
    """
    workflow = lock(workflow_id)
    check_standing(workflow, user, strength)
    check_round(workflow, round or 1)
    answer = Answer(
        user, verdict, fingerprint, source, comment, response_data, delivery_id, strength, stage,
        behalf,
    )  # fmt: skip
    now = database_now()
    file = cases.load(workflow, now=now)
    earlier = _repeated(file, answer)
    if earlier:
        return Decided(workflow, earlier, replayed=True)
    if workflow.status != Status.PENDING:
        raise AlreadyDecided(workflow)
    if workflow.is_late(now):
        raise Expired(workflow)
    seat = _seat(file, answer)
    verdict, edits = _judge_edits(workflow, answer)
    _check_seen(file, answer)
    vote = _vote(file, answer, verdict, seat)
    after = file.case.after(vote)
    decision = _record(file, answer, vote, edits, is_effective=after.outcome is not None)
    _apply(file, decision, after)
    return Decided(workflow, decision)


def check_standing(workflow: Workflow, user: User, strength: str) -> None:
    """A stranger to the team learns nothing, not even that the request exists."""
    member = accounts.membership(workflow.team_id, user.pk)
    if member is None:
        hindrance = guests.hindrance(workflow, user.pk)
        if hindrance or strength not in (guests.BY_LINK, guests.BY_REPLY):
            raise NotYours(hindrance or "Guests decide by the link in their mail alone.")
    elif not member.may_decide:
        raise NotYours(f"Your role in {workflow.team.name} is {member.role}: you may look only.")


def check_round(workflow: Workflow, seen: int) -> None:
    """Raise AskedAgain for what belongs to an earlier round, however late it arrives."""
    if not workflow.asked_round <= seen <= workflow.round:
        raise AskedAgain(workflow)


def _repeated(file: CaseFile, answer: Answer) -> Decision | None:
    """The person's own answer that this one says again, if it is about the same stage."""
    for earlier in reversed(file.standing(answer.user)):
        if answer.stage not in (None, earlier.stage):
            continue
        if answer.behalf not in (None, earlier.behalf_id or earlier.user_id):
            continue
        if _is_same(file.workflow, earlier, answer):
            return earlier
    return None


def _is_same(workflow: Workflow, earlier: Decision, answer: Answer) -> bool:
    if earlier.fingerprint != answer.fingerprint:
        return False
    if (earlier.verdict == Verdict.REJECTED) != (answer.verdict == Verdict.REJECTED):
        return False
    if earlier.edits and not earlier.result_fingerprint:  # from before results were kept
        return bool(earlier.edits == diff.patch(workflow.action_data, answer.response_data))
    return (earlier.result_fingerprint or earlier.fingerprint) == answer.result


def _seat(file: CaseFile, answer: Answer) -> Seat:
    """In whose place, and for which places of the policy. Raises NotYours where there are none."""
    seats = file.case.seats(str(answer.user.pk))
    if answer.behalf is not None:
        seats = [seat for seat in seats if seat.person == str(answer.behalf)]
    if not seats:
        raise NotYours(why_not(file, answer.user) or "You cannot answer for this person here.")
    stage = file.case.stage
    if answer.stage is not None and stage and answer.stage != stage.index:
        raise StageMoved(stage.name)
    wanted = stage is not None and stage.wants_second_factor(file.workflow.risk)
    if wanted and answer.strength not in SECOND_FACTORS:
        raise StepUpNeeded
    return seats[0]


def why_not(file: CaseFile, user: User) -> str:
    """Why somebody may not answer now, for them; "" if they may."""
    said = plain.why_not(file.case, str(user.pk))
    if said.startswith("The stage ") and len(file.policy.stages) == 1:
        return "This request asks other people; you are not one of them."
    if said.startswith("You have answered"):
        return "You have answered. More answers are needed before anything happens."
    return said


def _judge_edits(workflow: Workflow, answer: Answer) -> tuple[Verdict, list[dict[str, Any]] | None]:
    """Validate edits and turn "modified" without a difference into a plain approval."""
    if answer.verdict != Verdict.MODIFIED:
        return answer.verdict, None
    if workflow.ui_schema is None:
        message = "This request has no form, so its data cannot be edited: approve or reject it."
        raise InvalidInput(message, [FieldError("/responseData", message)])
    if answer.response_data is None:
        message = "Send the complete edited data with the decision `modified`."
        raise InvalidInput(message, [FieldError("/responseData", message)])
    seen = workflow.current_data
    if answer.fingerprint != workflow.current_fingerprint:
        raise DigestMismatch
    json_schema.check_edit(workflow.ui_schema, seen, answer.response_data, root="/responseData")
    edits = diff.patch(seen, answer.response_data)
    return (Verdict.MODIFIED, edits) if edits else (Verdict.APPROVED, None)


def _check_seen(file: CaseFile, answer: Answer) -> None:
    if answer.fingerprint != file.case.fingerprint:
        raise DigestMismatch


def _vote(file: CaseFile, answer: Answer, verdict: Verdict, seat: Seat) -> Vote:
    own = str(answer.user.pk)
    vote = file.case.vote(
        own,
        verdict,
        answer.fingerprint,
        result=answer.result if verdict == Verdict.MODIFIED else "",
        behalf="" if seat.person == own else seat.person,
    )
    if vote is None:
        message = "The data cannot be edited in this stage: approve or reject it as it is."
        raise InvalidInput(message, [FieldError("/decision", message)])
    return vote


def _record(
    file: CaseFile,
    answer: Answer,
    vote: Vote,
    edits: list[dict[str, Any]] | None,
    *,
    is_effective: bool,
) -> Decision:
    workflow = file.workflow
    modified = vote.verdict == Verdict.MODIFIED
    return Decision.objects.create(
        workflow=workflow,
        round=workflow.round,
        stage=vote.stage,
        turn=_turn(file, vote),
        counts_for=sorted(vote.leaves),
        user=answer.user,
        behalf=file.users[vote.behalf] if vote.behalf else None,
        verdict=vote.verdict,
        channel=answer.source,
        comment=answer.comment,
        edits=edits,
        result=answer.response_data if modified else None,
        result_fingerprint=vote.result,
        fingerprint=answer.fingerprint,
        is_effective=is_effective,
        strength=answer.strength,
        delivery_id=answer.delivery_id,
        seq=workflow.event_seq + 1,
        decided_at=file.now,
    )


def _turn(file: CaseFile, vote: Vote) -> int:
    """How often there was an answer for (or by) this person in this stage before."""
    same = [one for one in file.decisions if one.stage == vote.stage]
    if vote.behalf:
        return sum(str(one.behalf_id) == vote.behalf for one in same)
    return sum(str(one.user_id) == vote.user_id and one.behalf_id is None for one in same)


# --- What it does --------------------------------------------------------------------------------


def _apply(file: CaseFile, decision: Decision, after: Case) -> None:
    """Write what the answer does: a vote on the record, the next stage, or the verdict."""
    if after.outcome is not None:
        _settle(file, decision, after)
    elif after.stage and after.stage.index != decision.stage:
        _go_on(file, decision, after)
    else:
        _wait(file, decision, after)


def _facts(decision: Decision) -> dict[str, Any]:
    """What every event about an answer says of it."""
    data: dict[str, Any] = {
        "decision": str(decision.verdict),
        "decisionId": str(decision.pk),
        "comment": decision.comment,
        "fingerprint": decision.fingerprint,
        "edits": decision.edits,
        "strength": decision.strength,
        "stage": decision.stage,
    }
    if decision.behalf:
        data["onBehalfOf"] = {"id": str(decision.behalf_id), "name": str(decision.behalf)}
    if decision.result_fingerprint:
        data["resultFingerprint"] = decision.result_fingerprint
    return data


def _on_the_table(file: CaseFile, decisions: Iterable[Decision], case: Case) -> dict[str, Any]:
    """The data that votes are about from now on, as fields of the row."""
    if case.fingerprint == file.workflow.fingerprint:
        return {"proposed_data": None, "proposed_fingerprint": ""}
    made = next(one for one in decisions if one.result_fingerprint == case.fingerprint)
    return {"proposed_data": made.result, "proposed_fingerprint": made.result_fingerprint}


def _settle(file: CaseFile, decision: Decision, after: Case) -> None:
    workflow, outcome = file.workflow, after.outcome
    assert outcome is not None  # noqa: S101  # for the type checker; `_apply` has looked
    common: dict[str, Any] = {
        "actor": decision.user.actor if decision.user else SYSTEM,
        "source": decision.channel,
        "now": decision.decided_at,
        "data": _facts(decision),
    }
    answer: dict[str, Any] = {
        "decision": outcome,
        "feedback": decision.comment,
        "responded_at": decision.decided_at,
        "responded_by": decision.user,
        "responded_via": decision.channel,
        "next_step_at": None,
        **_on_the_table(file, [*file.decisions, decision], after),
    }
    if outcome == Verdict.REJECTED:
        answer |= {"proposed_data": None, "proposed_fingerprint": ""}
        transition(workflow, Status.REJECTED, EventType.HUMAN_RESPONDED, **common, **answer)
        amend(
            workflow,
            EventType.WORKFLOW_REJECTED,
            **common | {"now": None},
        )
    else:
        if outcome == Verdict.MODIFIED:
            answer["response_data"] = answer["proposed_data"]
            answer["response_fingerprint"] = answer["proposed_fingerprint"]
            common["data"]["responseFingerprint"] = answer["response_fingerprint"]
        answer |= {"proposed_data": None, "proposed_fingerprint": ""}
        approve(workflow, **common, **answer)
    conclude(workflow)


def _go_on(file: CaseFile, decision: Decision, after: Case) -> None:
    """The stage is closed: record the answer, open the next one and ask its people."""
    workflow, stage = file.workflow, after.stage
    assert stage is not None  # noqa: S101  # for the type checker; `_apply` has looked
    done = file.policy.stages[decision.stage].name
    _note(file, decision, after)
    changes = asking.opening(workflow, file.policy, stage.index, now=file.now, also=file.handed_to)
    amend(
        workflow,
        EventType.STAGE_OPENED,
        actor=SYSTEM,
        source=decision.channel,
        data={"stage": stage.index, "name": stage.name, "after": done},
        now=file.now,
        **changes,
    )
    opened = cases.load(workflow, now=file.now)
    asking.close_wave(file, f"{done} has agreed. Now it is up to {stage.name}.")
    asking.ask(opened)


def _wait(file: CaseFile, decision: Decision, after: Case) -> None:
    """More answers are needed in the same stage; after an edit, of everybody else anew."""
    workflow = file.workflow
    edited = after.fingerprint != file.case.fingerprint
    _note(file, decision, after, **({"wave": workflow.wave + 1} if edited else {}))
    now = cases.load(workflow, now=file.now)
    waiting = plain.waiting(now.case, now.names)
    if not edited:
        if decision.user and not now.case.seats(str(decision.user_id)):
            said = f"You answered: {decision.get_verdict_display().lower()}. {waiting}"
            asking.close_wave(file, said, users=[decision.user])
        asking.tell_progress(now)
        return
    asking.close_wave(file, f"{decision.user} has changed the data. {waiting}")
    notice = f"{decision.user} has changed the data: your answer is about what it says now."
    asking.ask(now, notice=notice)


def _note(file: CaseFile, decision: Decision, after: Case, **changes: Any) -> None:
    """The event of an answer that settles nothing, with the data it leaves on the table."""
    amend(
        file.workflow,
        EventType.HUMAN_RESPONDED,
        actor=decision.user.actor if decision.user else SYSTEM,
        source=decision.channel,
        data=_facts(decision),
        now=decision.decided_at,
        **_on_the_table(file, [*file.decisions, decision], after),
        **changes,
    )


def approve(workflow: Workflow, *, why: EventType = EventType.HUMAN_RESPONDED, **rest: Any) -> None:
    """APPROVED, with the obligation to execute where the server carries out."""
    by_agent = workflow.execution_plan["by"] == Executor.AGENT
    due = None if by_agent else rest["now"]
    transition(workflow, Status.APPROVED, why, execution_due_at=due, **rest)
    if not by_agent:
        poke_execution(workflow.pk)


def conclude(workflow: Workflow) -> None:
    """Tell every copy of the question what became of it."""
    deliveries.conclude(workflow.pk, outcome=verdict_sentence(workflow), now=workflow.updated_at)


def conclude_all(workflows: Collection[Workflow]) -> None:
    """The same for many that came to the same end at the same moment."""
    outcomes = {each.pk: verdict_sentence(each) for each in workflows}
    moments = [each.updated_at for each in workflows]
    if moments:
        deliveries.conclude_all(outcomes, now=max(moments))


def answering(workflow: Workflow) -> Decision | None:
    """The decision that is in force: the one that settled the round in which people were asked."""
    return workflow.decisions.filter(round=workflow.asked_round, is_effective=True).first()


# --- Taking back ---------------------------------------------------------------------------------


@transaction.atomic
def withdraw(
    workflow_id: UUID,
    *,
    user: User,
    source: str,
    reason: str = "",
    behalf: UUID | None = None,
) -> Workflow:
    """Take back the person's answer, while its stage is open; they are asked again.

    Raises NotFound, NotYours (nothing of theirs stands in the open stage), AlreadyDecided or
    Expired.
    """
    workflow = lock(workflow_id)
    check_standing(workflow, user, "session")
    now = database_now()
    if workflow.status != Status.PENDING:
        raise AlreadyDecided(workflow)
    if workflow.is_late(now):
        raise Expired(workflow)
    file = cases.load(workflow, now=now)
    decision = _standing_vote(file, user, behalf)
    back = file.case.withdrawal(str(user.pk), behalf=str(decision.behalf_id or ""))
    if back is None:
        raise NotYours("Your answer counts no more, so there is nothing to take back.")
    after = file.case.after(back)
    Withdrawal.objects.create(
        workflow=workflow,
        decision=decision,
        seq=workflow.event_seq + 1,
        channel=source,
        reason=reason,
        withdrawn_at=now,
    )
    edited = after.fingerprint != file.case.fingerprint
    amend(
        workflow,
        EventType.HUMAN_WITHDREW,
        actor=user.actor,
        source=source,
        data={"decisionId": str(decision.pk), "reason": reason, "stage": decision.stage},
        now=now,
        wave=workflow.wave + 1,
        **_on_the_table(file, file.decisions, after),
    )
    _ask_again(workflow, user, edited=edited, now=now)
    return workflow


def _standing_vote(file: CaseFile, user: User, behalf: UUID | None) -> Decision:
    stage = file.case.stage
    for one in reversed(file.standing(user)):
        if stage and one.stage == stage.index and behalf in (None, one.behalf_id or one.user_id):
            return one
    raise NotYours("You have given no answer in this stage that could be taken back.")


def _ask_again(workflow: Workflow, user: User, *, edited: bool, now: dt.datetime) -> None:
    """Ask the person anew; everybody, where taking back an edit has changed the data."""
    file = cases.load(workflow, now=now)
    sentence = f"{user} has taken an answer back."
    if edited:
        asking.close_wave(file, f"{sentence} The data is as it was before the edit.")
        asking.ask(file, notice=f"{sentence} You decide on the data as it is now.")
    else:
        asking.close_wave(file, "You have taken your answer back.", users=[user])
        asking.ask(file, persons=[str(user.pk)], notice="You have taken your answer back.")
        asking.tell_progress(file)
