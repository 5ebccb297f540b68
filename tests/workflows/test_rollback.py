"""Rolling back: what may be restored from where and by whom, and that earlier rounds count no more.

The table names every status; the rest looks at what each of the three ways does.
"""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from deliveries.models import Delivery
from events.models import Event
from events.types import EventType, Source
from hitl.accounts.models import Agent, User
from hitl.lib.errors import Forbidden, InvalidInput
from tests.workflows.factories import (
    REFUND,
    ActionTypeFactory,
    ask_again,
    decide,
    make_executing,
    make_overdue,
    make_workflow,
)
from tests.workflows.policy_samples import adopt, demand_second_factor, stage
from tests.workflows.test_ruling import rules, small
from workflows import executions, rollback, services
from workflows.actions.base import ActionFailed, Job
from workflows.actions.function import register
from workflows.errors import AskedAgain, CannotRollBack, NotExecutable, NotYours, StepUpNeeded
from workflows.models import ActionType, Decision, RuleUse, Status, Workflow
from workflows.rollback import RolledBack, Way
from workflows.snapshot import snapshot

pytestmark = pytest.mark.django_db


def fresh(workflow: Workflow) -> Workflow:
    return Workflow.objects.get(pk=workflow.pk)


def seq_of(workflow: Workflow, status: str) -> int:
    """The newest state of that status."""
    rows = Event.objects.filter(workflow=workflow, status=status).order_by("-seq")
    return rows.values_list("seq", flat=True)[0]


def roll(workflow: Workflow, user: User, to: str = "PENDING", **changes: Any) -> RolledBack:
    values: dict[str, Any] = {
        "to_seq": seq_of(workflow, to), "reason": "Looked at it again.",
        "source": Source.DASHBOARD,
    }  # fmt: skip
    return rollback.roll_back(workflow.pk, user=user, **(values | changes))


def failed(agent: Agent, user: User, **changes: Any) -> Workflow:
    workflow = make_executing(agent, user, **changes)
    return executions.fail(workflow.pk, agent=agent, attempt=1, error={"message": "no card"})


def completed(agent: Agent, user: User, **changes: Any) -> Workflow:
    workflow = make_executing(agent, user, **changes)
    return executions.complete(workflow.pk, agent=agent, attempt=1, result={"id": "re_1"})


def unknown(agent: Agent, user: User) -> Workflow:
    workflow = make_executing(agent, user)
    attempt = workflow.attempts.get()
    attempt.lease_until -= dt.timedelta(days=1)
    attempt.save()
    executions.lapse(attempt.pk)
    return fresh(workflow)


def timed_out(agent: Agent, user: User) -> Workflow:
    workflow = make_overdue(agent)
    services.time_out(workflow.pk)
    return fresh(workflow)


def rejected(agent: Agent, user: User) -> Workflow:
    workflow = make_workflow(agent)
    decide(workflow, user, "rejected", comment="no")
    return fresh(workflow)


def approved(agent: Agent, user: User) -> Workflow:
    workflow = make_workflow(agent)
    decide(workflow, user)
    return fresh(workflow)


MAKE: dict[str, Callable[[Agent, User], Workflow]] = {
    "PENDING": lambda agent, user: make_workflow(agent),
    "APPROVED": approved,
    "REJECTED": rejected,
    "TIMEOUT": timed_out,
    "CANCELLED": lambda agent, user: services.cancel(make_workflow(agent).pk, agent=agent),
    "EXECUTING": make_executing,
    "COMPLETED": completed,
    "FAILED": failed,
    "UNKNOWN": unknown,
}
ASK, RUN, NOT, NO = "PENDING", "APPROVED", "refused", "forbidden"
# From, to: what comes of it for a manager and for an approver. Everything else is refused.
TABLE: dict[tuple[str, str], tuple[str, str]] = {
    ("APPROVED", "PENDING"): (ASK, ASK),
    ("REJECTED", "PENDING"): (ASK, ASK),
    ("TIMEOUT", "PENDING"): (ASK, ASK),
    ("FAILED", "PENDING"): (ASK, ASK),
    ("FAILED", "APPROVED"): (RUN, NO),
}


@pytest.mark.parametrize("role", ["manager", "approver", "viewer", "stranger"])
@pytest.mark.parametrize("status", sorted(MAKE))
def test_every_status_to_every_earlier_state_for_every_role(
    agent: Agent, approver: User, status: str, role: str, request: pytest.FixtureRequest
) -> None:
    user: User = request.getfixturevalue(role)
    workflow = MAKE[status](agent, approver)
    for target in sorted(set(Event.objects.values_list("status", flat=True))):
        wanted = TABLE.get((status, target), (NOT, NOT))[role == "approver"]
        wanted = NO if role in ("viewer", "stranger") else wanted
        count, before = Event.objects.count(), snapshot(fresh(workflow))
        kind = {NOT: CannotRollBack, NO: Forbidden}.get(wanted)
        if kind:
            with pytest.raises(kind):
                roll(workflow, user, target, acknowledged=True)
            assert (Event.objects.count(), snapshot(fresh(workflow))) == (count, before)
    for target in sorted(set(Event.objects.values_list("status", flat=True))):
        wanted = TABLE.get((status, target), (NOT, NOT))[role == "approver"]
        if wanted in (ASK, RUN) and role in ("manager", "approver"):
            again = MAKE[status](agent, approver)
            assert roll(again, user, target, acknowledged=True).workflow.status == wanted
            assert (fresh(again).status, fresh(again).round) == (wanted, 2)


def test_what_is_possible_is_said(agent: Agent, approver: User, manager: User) -> None:
    says = {
        "PENDING": "nothing to roll back", "CANCELLED": "asks anew", "EXECUTING": "wait for",
        "UNKNOWN": "settle the outcome", "COMPLETED": "declares none",
    }  # fmt: skip
    for status, sentence in says.items():
        workflow = MAKE[status](agent, approver)
        with pytest.raises(CannotRollBack, match=sentence):
            roll(workflow, manager)
    with pytest.raises(CannotRollBack, match="in which it was PENDING or APPROVED"):
        roll(failed(agent, approver), manager, "FAILED")


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"reason": "  "}, "/reason"),
        ({"reason": "x" * 1001}, "/reason"),
        ({"reason": "a\0b"}, "/reason"),
        ({"to_seq": 99}, "/toSeq"),
        ({"to_seq": 0}, "/toSeq"),
    ],
)
def test_input_is_checked(agent: Agent, approver: User, changes: Any, place: str) -> None:
    workflow = rejected(agent, approver)
    with pytest.raises(InvalidInput) as caught:
        roll(workflow, approver, **changes)
    assert [error.pointer for error in caught.value.errors] == [place]


# --- Asking again --------------------------------------------------------------------------------


def test_asking_again_starts_where_the_request_began(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent, timeout_seconds=3600)
    first = snapshot(workflow)
    data = REFUND | {"amount": 90}
    decide(workflow, approver, "modified", response_data=data, comment="less")

    now = roll(workflow, approver).workflow

    state = snapshot(fresh(workflow))
    assert state == snapshot(now)
    moved = {"round", "askedRound", "expiresAt", "stageOpenedAt"}
    assert {name for name in state if state[name] != first[name]} == moved
    left = now.expires_at - dt.datetime.now(dt.UTC)
    assert abs(left - dt.timedelta(hours=1)) < dt.timedelta(seconds=20)


def test_event_says_from_where_to_where_who_and_why(agent: Agent, approver: User) -> None:
    workflow = rejected(agent, approver)
    before = workflow.event_seq

    roll(workflow, approver, to_seq=1, reason=" The card works again. ")

    event = Event.objects.filter(workflow=workflow, type=EventType.WORKFLOW_ROLLED_BACK).get()
    assert event.data == {
        "fromSeq": before, "toSeq": 1, "round": 2, "way": "asked-again",
        "reason": "The card works again.",
    }  # fmt: skip
    assert (event.seq, event.round, event.status) == (before + 1, 2, "PENDING")
    assert (event.actor["name"], event.source) == (str(approver), "dashboard")


def test_people_get_new_messages_and_old_copies_say_so(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    Delivery.objects.update(status="sent", sent_at=workflow.created_at)
    decide(workflow, approver, "rejected", comment="no")

    roll(workflow, approver, reason="Look again")

    old = Delivery.objects.get(workflow=workflow, round=1)
    new = Delivery.objects.get(workflow=workflow, round=2)
    assert "asked again" in old.outcome
    assert (new.status, new.outcome, new.kind) == ("pending", "", "approval")
    assert "asks again: Look again" in new.message["notice"]


def test_answers_of_an_earlier_round_do_not_count(
    agent: Agent, approver: User, colleague: User, manager: User
) -> None:
    adopt(agent.team, stage("Two", {"team": "approvers"}, 2))
    workflow = make_workflow(agent)
    decide(workflow, approver)
    decide(workflow, colleague, "rejected", comment="no")

    roll(workflow, manager)
    decide(workflow, manager, round=2)

    assert fresh(workflow).status == Status.PENDING
    decide(workflow, approver, round=2)
    assert fresh(workflow).status == Status.APPROVED
    assert Decision.objects.filter(round=1).count() == Decision.objects.filter(round=2).count() == 2


@pytest.mark.parametrize("seen", [None, 1, 3])
def test_answer_that_names_another_round_is_refused(
    agent: Agent, approver: User, seen: int | None
) -> None:
    workflow = ask_again(make_workflow(agent), approver)
    for verdict in ("approved", "rejected"):
        with pytest.raises(AskedAgain, match="round 2"):
            decide(workflow, approver, verdict, comment="no", round=seen)
    assert not Decision.objects.filter(round=2).exists()
    assert decide(workflow, approver, round=2).workflow.status == Status.APPROVED


def test_rules_decide_nothing_in_a_later_round(agent: Agent, approver: User) -> None:
    rules(agent.team, small())
    workflow = make_workflow(agent)
    assert fresh(workflow).status == Status.APPROVED

    roll(workflow, approver)

    assert (fresh(workflow).status, fresh(workflow).responded_via) == ("PENDING", "")
    assert Delivery.objects.filter(workflow=workflow, round=2, status="pending").exists()
    assert RuleUse.objects.filter(workflow=workflow).count() == 1
    decide(workflow, approver, "rejected", comment="no", round=2)
    assert fresh(workflow).responded_by == approver


def test_nobody_left_to_ask(agent: Agent, approver: User, manager: User) -> None:
    workflow = make_workflow(agent, approvers=[approver.email])
    decide(workflow, approver, "rejected", comment="no")
    approver.memberships.all().delete()
    with pytest.raises(CannotRollBack, match="Nobody is left"):
        roll(workflow, manager)
    assert fresh(workflow).status == Status.REJECTED


def test_deadline_of_the_new_round_takes_effect(agent: Agent, approver: User) -> None:
    workflow = timed_out(agent, approver)
    roll(workflow, approver)
    assert not services.time_out(workflow.pk)
    Workflow.objects.filter(pk=workflow.pk).update(expires_at=workflow.created_at)
    assert services.time_out(workflow.pk)
    assert (fresh(workflow).status, fresh(workflow).round) == ("TIMEOUT", 2)


def test_held_request_has_a_deadline_again(agent: Agent, approver: User) -> None:
    workflow = make_overdue(agent, timeout_action="hold")
    assert services.time_out(workflow.pk)
    decide(fresh(workflow), approver, "rejected", comment="no")
    now = roll(workflow, approver).workflow
    assert (now.held_at, now.timeout_action) == (None, "hold")
    assert now.expires_at > dt.datetime.now(dt.UTC)


def test_a_third_round_has_the_time_of_the_first(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent, timeout_seconds=600)
    for _ in range(2):
        ask_again(fresh(workflow), approver)
    left = fresh(workflow).expires_at - dt.datetime.now(dt.UTC)
    assert (fresh(workflow).round, round(left.total_seconds() / 60)) == (3, 10)


def test_second_rollback_finds_the_round_moved(agent: Agent, approver: User) -> None:
    workflow = ask_again(make_workflow(agent), approver)
    decide(workflow, approver, round=2)
    with pytest.raises(CannotRollBack, match="in round 2"):
        roll(workflow, approver, round=1)


# --- Running again -------------------------------------------------------------------------------


def test_agent_runs_again_under_the_same_approval(
    agent: Agent, approver: User, manager: User
) -> None:
    workflow = failed(agent, approver)
    now = roll(workflow, manager, "APPROVED", acknowledged=True).workflow
    assert (now.status, now.round, now.asked_round, now.error) == ("APPROVED", 2, 1, None)
    assert (now.responded_by, now.decision) == (approver, "approved")

    _, attempt = executions.start(workflow.pk, agent=agent, executor="agent")

    assert (attempt.number, attempt.round) == (2, 2)
    with pytest.raises(NotExecutable):
        executions.heartbeat(workflow.pk, agent=agent, attempt=1)
    with pytest.raises(NotExecutable):
        executions.complete(workflow.pk, agent=agent, attempt=1, result={})
    assert executions.complete(workflow.pk, agent=agent, attempt=2, result={}).status == "COMPLETED"


def test_nobody_runs_an_at_most_once_action_again_unawares(
    agent: Agent, approver: User, manager: User
) -> None:
    workflow = failed(agent, approver)
    with pytest.raises(InvalidInput) as caught:
        roll(workflow, manager, "APPROVED")
    assert caught.value.errors[0].pointer == "/acknowledgeUnknownEffects"
    ActionTypeFactory(team=agent.team, name="safe.type", semantics="idempotent")
    safe = failed(agent, approver, action_type="safe.type")
    assert roll(safe, manager, "APPROVED").workflow.status == Status.APPROVED


def test_running_again_takes_the_second_factor_of_the_policy(
    agent: Agent, approver: User, manager: User
) -> None:
    workflow = failed(agent, approver)
    demand_second_factor(workflow)
    with pytest.raises(StepUpNeeded):
        roll(workflow, manager, "APPROVED", acknowledged=True)
    rolled = roll(workflow, manager, "APPROVED", acknowledged=True, strength="totp")
    assert rolled.way == Way.RUN


def test_replaced_approval_allows_nothing(agent: Agent, approver: User, manager: User) -> None:
    workflow = failed(agent, approver)
    first = seq_of(workflow, "APPROVED")
    roll(workflow, approver)
    decide(workflow, approver, round=2)
    executions.start(workflow.pk, agent=agent)
    executions.fail(workflow.pk, agent=agent, attempt=2, error={})
    with pytest.raises(CannotRollBack, match="has been replaced"):
        roll(workflow, manager, to_seq=first, acknowledged=True)
    assert roll(workflow, manager, "APPROVED", acknowledged=True).way == Way.RUN


LEDGER: list[Job] = []


@register("tests.second_time")
def second_time(job: Job) -> Any:
    """Fails at first, and is known not to have happened."""
    LEDGER.append(job)
    if job.attempt == 1:
        raise ActionFailed("no", permanent=True, may_have_happened=False)
    return {"ok": True}


def test_server_runs_again_with_a_key_of_its_own(
    agent: Agent, approver: User, manager: User
) -> None:
    LEDGER.clear()
    ActionTypeFactory(
        team=agent.team, name="by.server", executor="function",
        executor_config={"function": "tests.second_time"},
    )  # fmt: skip
    workflow = make_workflow(agent, action_type="by.server")
    decide(workflow, approver, "modified", response_data=REFUND | {"amount": 1})
    executions.execute(workflow.pk)
    assert fresh(workflow).status == Status.FAILED

    roll(workflow, manager, "APPROVED", acknowledged=True)
    executions.execute(workflow.pk)

    assert (fresh(workflow).status, fresh(workflow).result) == ("COMPLETED", {"ok": True})
    assert [job.key.rpartition("-")[2] for job in LEDGER] == ["1", "2"]
    assert {job.data["amount"] for job in LEDGER} == {1}


def test_approval_that_is_rolled_back_runs_nothing(agent: Agent, approver: User) -> None:
    LEDGER.clear()
    ActionTypeFactory(
        team=agent.team, name="by.server", executor="function",
        executor_config={"function": "tests.second_time"},
    )  # fmt: skip
    workflow = make_workflow(agent, action_type="by.server")
    decide(workflow, approver)

    roll(workflow, approver)
    executions.execute(workflow.pk)

    assert (fresh(workflow).status, LEDGER) == (Status.PENDING, [])
    assert fresh(workflow).execution_due_at is None


def test_tampered_data_does_not_run_again(agent: Agent, approver: User, manager: User) -> None:
    workflow = failed(agent, approver)
    roll(workflow, manager, "APPROVED", acknowledged=True)
    Workflow.objects.filter(pk=workflow.pk).update(action_data=REFUND | {"amount": 9999})
    with pytest.raises(NotExecutable, match="not the data"):
        executions.start(workflow.pk, agent=agent)


# --- Compensation --------------------------------------------------------------------------------

UNDO_SCHEMA = {
    "type": "object",
    "required": ["workflowId", "actionType", "actionData", "result"],
    "additionalProperties": False,
    "properties": {"workflowId": {}, "actionType": {}, "actionData": {}, "result": {}},
}


@pytest.fixture
def undoing(agent: Agent, approver: User, colleague: User) -> ActionType:
    """`payments.refund` is undone by `payments.charge`."""
    undo = ActionTypeFactory(team=agent.team, name="payments.charge", data_schema=UNDO_SCHEMA)
    kind: ActionType = ActionTypeFactory(team=agent.team, name="payments.refund", compensation=undo)
    return kind


def test_completed_request_asks_for_its_compensation(
    agent: Agent, approver: User, undoing: ActionType
) -> None:
    workflow = completed(agent, approver)

    rolled = roll(workflow, approver, reason="Wrong customer")

    asked = rolled.compensation
    assert asked is not None
    assert (rolled.way, fresh(workflow).status, fresh(workflow).round) == (Way.UNDO, "COMPLETED", 1)
    assert asked.action_data == {
        "workflowId": str(workflow.pk), "actionType": "payments.refund", "actionData": REFUND,
        "result": {"id": "re_1"},
    }  # fmt: skip
    assert (asked.action_type, asked.status, asked.requester) == (
        "payments.charge", "PENDING", approver,
    )  # fmt: skip
    assert (asked.compensates, fresh(workflow).compensation) == (workflow, asked)
    assert Event.objects.get(workflow=asked, seq=1).actor["name"] == str(approver)
    with pytest.raises(NotYours, match="You asked for this"):
        decide(asked, approver)


def test_edited_data_is_what_is_undone(agent: Agent, approver: User, undoing: ActionType) -> None:
    workflow = make_workflow(agent)
    decide(workflow, approver, "modified", response_data=REFUND | {"amount": 5})
    executions.start(workflow.pk, agent=agent)
    executions.complete(workflow.pk, agent=agent, attempt=1, result=None)
    asked = roll(workflow, approver).compensation
    assert asked is not None
    assert asked.action_data["actionData"]["amount"] == 5


@pytest.mark.parametrize("settled", [False, True])
def test_completed_compensation_is_noted_where_it_undoes(
    agent: Agent, approver: User, colleague: User, undoing: ActionType, settled: bool
) -> None:
    workflow = completed(agent, approver)
    asked = roll(workflow, approver, reason="Wrong customer").compensation
    assert asked is not None
    decide(asked, colleague)
    executions.start(asked.pk, agent=agent)
    if settled:
        attempt = asked.attempts.get()
        attempt.lease_until -= dt.timedelta(days=1)
        attempt.save()
        executions.lapse(attempt.pk)
        executions.settle_unknown(
            asked.pk, user=colleague, succeeded=True, note="seen", source=Source.DASHBOARD
        )
    else:
        executions.complete(asked.pk, agent=agent, attempt=1, result={})

    event = Event.objects.get(workflow=workflow, type=EventType.WORKFLOW_ROLLED_BACK)
    assert event.data["compensation"] == str(asked.pk)
    assert (event.data["reason"], event.data["askedBy"]["name"]) == (
        "Wrong customer",
        str(approver),
    )
    assert (fresh(workflow).status, workflow.attempts.count()) == (Status.COMPLETED, 1)
    assert snapshot(fresh(workflow)) == event.state_snapshot


def test_compensation_that_fails_is_noted_nowhere(
    agent: Agent, approver: User, colleague: User, undoing: ActionType
) -> None:
    workflow = completed(agent, approver)
    asked = roll(workflow, approver).compensation
    assert asked is not None
    decide(asked, colleague)
    executions.start(asked.pk, agent=agent)
    executions.fail(asked.pk, agent=agent, attempt=1, error={})
    assert not Event.objects.filter(type=EventType.WORKFLOW_ROLLED_BACK).exists()


def test_there_is_one_compensation_ever(
    agent: Agent, approver: User, colleague: User, undoing: ActionType
) -> None:
    workflow = completed(agent, approver)
    asked = roll(workflow, approver).compensation
    assert asked is not None
    with pytest.raises(CannotRollBack, match="PENDING"):
        roll(workflow, approver)
    decide(asked, colleague, "rejected", comment="no")
    with pytest.raises(CannotRollBack, match="REJECTED"):
        roll(workflow, approver)
    assert roll(asked, approver).workflow.status == Status.PENDING
    with pytest.raises(Forbidden, match="people decide"):
        services.cancel(asked.pk, agent=agent)


def test_compensation_that_does_not_fit_its_type_is_refused(
    agent: Agent, approver: User, undoing: ActionType
) -> None:
    ActionType.objects.filter(name="payments.charge").update(
        data_schema={"type": "object", "required": ["chargeId"]}
    )
    workflow = completed(agent, approver)
    with pytest.raises(InvalidInput, match="cannot be asked for") as caught:
        roll(workflow, approver)
    assert caught.value.errors[0].pointer == "/toSeq"
    assert Workflow.objects.count() == 1


def test_compensation_of_another_team_is_none(
    agent: Agent, approver: User, undoing: ActionType, stranger: User
) -> None:
    theirs = ActionTypeFactory(team=stranger.memberships.get().team, name="theirs")
    ActionType.objects.filter(pk=undoing.pk).update(compensation=theirs)
    with pytest.raises(CannotRollBack, match="declares none"):
        roll(completed(agent, approver), approver)


def test_nothing_compensates_itself(undoing: ActionType) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        ActionType.objects.filter(pk=undoing.pk).update(compensation=undoing)


# --- What pages offer ----------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["manager", "approver", "viewer", "stranger"])
@pytest.mark.parametrize("status", sorted(MAKE))
def test_what_is_offered_is_what_works(
    agent: Agent, approver: User, status: str, role: str, request: pytest.FixtureRequest
) -> None:
    user: User = request.getfixturevalue(role)
    workflow = MAKE[status](agent, approver)
    offered = rollback.offers(workflow, user, list(Event.objects.order_by("seq")))
    wanted = {
        Way(way)
        for (source, _), found in TABLE.items()
        for way in [{ASK: "asked-again", RUN: "run-again"}.get(found[role == "approver"])]
        if source == status and way and role in ("manager", "approver")
    }
    assert {offer.way for offer in offered} == wanted
    for offer in offered:
        again = MAKE[status](agent, approver)
        assert roll(again, user, to_seq=offer.to_seq, acknowledged=True).way == offer.way
        assert all(sentence.endswith(".") for sentence in offer.says)
