"""Random lives of requests, played against a small model, with the invariants checked throughout.

The model knows the rules in a few lines of plain Python and nothing of the code under test. After
every step the database must agree with it, and the log must be gapless, chained and legal.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from deliveries.models import Delivery
from events import services as log
from events.models import Event
from events.types import EventType, Source
from hitl.accounts.models import Role, User
from hitl.accounts.services import add_member
from hitl.lib import canonical
from hitl.lib.errors import HitlError
from tests.accounts.factories import AgentFactory, TeamFactory, UserFactory
from tests.workflows.factories import REFUND, REFUND_FORM, ActionTypeFactory, decide
from workflows import executions, rollback, services, state_check
from workflows.actions.base import ActionFailed, Job
from workflows.actions.function import register
from workflows.inputs import NewWorkflow
from workflows.models import ExecutionAttempt, Status, Workflow

LEDGER: dict[str, list[Job]] = {}
LEGAL = {
    (None, "PENDING"), ("PENDING", "APPROVED"), ("PENDING", "REJECTED"), ("PENDING", "TIMEOUT"),
    ("PENDING", "CANCELLED"), ("APPROVED", "EXECUTING"), ("EXECUTING", "COMPLETED"),
    ("EXECUTING", "FAILED"), ("EXECUTING", "UNKNOWN"), ("UNKNOWN", "COMPLETED"),
    ("UNKNOWN", "FAILED"),
}  # fmt: skip
BACK = {
    ("APPROVED", "PENDING"), ("REJECTED", "PENDING"), ("TIMEOUT", "PENDING"),
    ("FAILED", "PENDING"), ("FAILED", "APPROVED"),
}  # fmt: skip
# What the rules below write past the log, to make time pass.
MOVED = {"expiresAt", "executionDueAt"}


@register("tests.life")
def live(job: Job) -> Any:
    """The foreign system: keeps a ledger of its own and behaves as the metadata of the day says."""
    LEDGER.setdefault(job.workflow_id, []).append(job)
    if BEHAVIOUR["next"] == "succeed":
        return {"ok": True}
    lost = BEHAVIOUR["next"] == "lose the answer"
    raise ActionFailed("no luck", permanent=False, may_have_happened=lost)


BEHAVIOUR = {"next": "succeed"}


def _round(job: Job) -> int:
    return int(job.key.rpartition("-")[2])


@dataclass
class Model:
    """What must be true of one request."""

    by: str
    semantics: str
    timeout_action: str
    status: str = "PENDING"
    late: bool = False
    held: bool = False
    votes: dict[UUID, str] = field(default_factory=dict)
    attempts: int = 0
    tries: int = 0  # attempts of this round
    open: bool = False
    due: bool = False
    amount: int = 120
    round: int = 1
    asked: int = 1  # the round whose answers count


class Lives(RuleBasedStateMachine):
    """Rules are what agents, people, sweeps and bad luck can do, in any order."""

    workflows = Bundle("workflows")

    def __init__(self) -> None:
        super().__init__()
        self.team = TeamFactory()
        self.agent = AgentFactory(team=self.team)
        self.people: list[User] = [UserFactory() for _ in range(3)]
        for person, role in zip(
            self.people, (Role.APPROVER, Role.MANAGER, Role.VIEWER), strict=True
        ):
            add_member(self.team, person, role)
        self.models: dict[UUID, Model] = {}
        for by in ("agent", "function"):
            for semantics in ("idempotent", "at_most_once"):
                ActionTypeFactory(
                    team=self.team, name=f"life.{by}.{semantics}", executor=by, risk="low",
                    executor_config={"function": "tests.life"} if by == "function" else {},
                    semantics=semantics, max_attempts=2, allow_timeout_approval=True,
                )  # fmt: skip

    # --- What agents do -------------------------------------------------------------------

    @rule(
        target=workflows,
        by=st.sampled_from(["agent", "function"]),
        semantics=st.sampled_from(["idempotent", "at_most_once"]),
        timeout_action=st.sampled_from(["reject", "hold", "approve"]),
    )
    def create(self, by: str, semantics: str, timeout_action: str) -> Any:
        workflow = services.create(
            self.agent,
            NewWorkflow(
                action_type=f"life.{by}.{semantics}", action_data=REFUND, ui_schema=REFUND_FORM,
                timeout_action=timeout_action,
            ),
        )  # fmt: skip
        self.models[workflow.pk] = Model(by, semantics, timeout_action)
        return multiple(workflow.pk)

    @rule(pk=workflows)
    def cancel(self, pk: UUID) -> None:
        model = self.models[pk]
        worked = self.attempt(lambda: services.cancel(pk, agent=self.agent))
        assert worked == (model.status in ("PENDING", "CANCELLED"))
        if worked:
            model.status = "CANCELLED"

    @rule(pk=workflows)
    def start(self, pk: UUID) -> None:
        model = self.models[pk]
        worked = self.attempt(lambda: executions.start(pk, agent=self.agent))
        assert worked == (model.by == "agent" and model.status == "APPROVED")
        if worked:
            model.status, model.open = "EXECUTING", True
            self.count_try(model)

    def count_try(self, model: Model) -> None:
        model.attempts, model.tries = model.attempts + 1, model.tries + 1

    @rule(pk=workflows, succeeded=st.booleans())
    def report(self, pk: UUID, succeeded: bool) -> None:
        model = self.models[pk]
        before, number = model.status, model.attempts or 1

        def tell() -> Any:
            if succeeded:
                return executions.complete(pk, agent=self.agent, attempt=number, result={"n": 1})
            return executions.fail(pk, agent=self.agent, attempt=number, error={"message": "no"})

        worked = self.attempt(tell)
        if model.by == "agent" and model.open:
            assert worked
            model.status, model.open = ("COMPLETED" if succeeded else "FAILED"), False
        else:
            assert model.status == before  # repeated, late or out of place: changes nothing

    @rule(
        target=workflows,
        fails=st.booleans(),
        semantics=st.sampled_from(["idempotent", "at_most_once"]),
    )
    def come_to_a_bad_end(self, fails: bool, semantics: str) -> Any:
        """Rejected, or approved and failed: what people roll back most."""
        pk = self.create("agent", semantics, "reject").values[0]
        self.decide(pk, 1, "approved" if fails else "rejected", stale=False, amount=120)
        if fails:
            self.start(pk)
            self.report(pk, succeeded=False)
        return multiple(pk)

    # --- What people do -------------------------------------------------------------------

    @rule(
        pk=workflows,
        who=st.integers(0, 2),
        verdict=st.sampled_from(["approved", "rejected", "modified"]),
        stale=st.booleans(),
        amount=st.sampled_from([120, 90, 1]),
    )
    def decide(self, pk: UUID, who: int, verdict: str, stale: bool, amount: int) -> None:
        model, person = self.models[pk], self.people[who]
        workflow = Workflow.objects.get(pk=pk)
        data = REFUND | {"amount": amount} if verdict == "modified" else None
        seen = "sha256:" + "0" * 64 if stale else workflow.fingerprint
        meant = "approved" if verdict == "modified" and amount == 120 else verdict
        answer = f"{meant}{amount if meant == 'modified' else ''}"
        worked = self.attempt(
            lambda: decide(
                workflow, person, verdict, fingerprint=seen, response_data=data, round=model.round
            )
        )
        may = who != 2 and not stale
        in_time = not model.late or model.timeout_action == "hold"
        fresh = may and model.status == "PENDING" and in_time
        assert worked == (fresh or (may and model.votes.get(person.pk) == answer))
        if fresh:
            model.votes[person.pk] = answer
            self.take_verdict(model, meant, amount)

    def take_verdict(self, model: Model, verdict: str, amount: int) -> None:
        model.status = "REJECTED" if verdict == "rejected" else "APPROVED"
        model.due = model.status == "APPROVED" and model.by == "function"
        model.amount = amount if verdict == "modified" else 120

    @rule(
        pk=workflows,
        who=st.integers(0, 2),
        to=st.sampled_from(["PENDING", "APPROVED"]),
        acknowledged=st.booleans(),
    )
    def roll_back(self, pk: UUID, who: int, to: str, acknowledged: bool) -> None:
        pk = self.rather(pk, lambda model: (model.status, to) in BACK)
        model = self.models[pk]
        state = Event.objects.filter(workflow_id=pk, status=to).order_by("-seq").first()
        if state is None:
            return
        worked = self.attempt(
            lambda: rollback.roll_back(
                pk, user=self.people[who], to_seq=state.seq, reason="Once more",
                source=Source.DASHBOARD, acknowledged=acknowledged,
            )
        )  # fmt: skip
        may = who == 1 if to == "APPROVED" else who != 2
        aware = to == "PENDING" or acknowledged or model.semantics == "idempotent"
        assert worked == (may and aware and (model.status, to) in BACK)
        if not worked:
            return
        model.status, model.round, model.tries = to, model.round + 1, 0
        model.due = to == "APPROVED" and model.by == "function"
        if to == "PENDING":
            model.asked, model.votes, model.amount = model.round, {}, 120
            model.late = model.held = False
            self.answers_of_earlier_rounds_are_refused(pk, model.round)

    def answers_of_earlier_rounds_are_refused(self, pk: UUID, round_: int) -> None:
        workflow = Workflow.objects.get(pk=pk)
        for seen in (None, *range(1, round_)):
            assert not self.attempt(lambda seen=seen: decide(workflow, self.people[0], round=seen))

    @rule(pk=workflows, who=st.integers(0, 2))
    def look(self, pk: UUID, who: int) -> None:
        services.mark_viewed(pk, user=self.people[who], source=Source.DASHBOARD)

    @rule(pk=workflows, who=st.integers(0, 2), succeeded=st.booleans())
    def settle(self, pk: UUID, who: int, succeeded: bool) -> None:
        model = self.models[pk]
        worked = self.attempt(
            lambda: executions.settle_unknown(
                pk, user=self.people[who], succeeded=succeeded, note="I looked",
                source=Source.DASHBOARD,
            )
        )  # fmt: skip
        assert worked == (model.status == "UNKNOWN" and who != 2)
        if worked:
            model.status = "COMPLETED" if succeeded else "FAILED"

    # --- What time and workers do ---------------------------------------------------------

    @rule(pk=workflows)
    def let_the_deadline_pass(self, pk: UUID) -> None:
        past = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=5)
        Workflow.objects.filter(pk=pk).update(expires_at=past)
        self.models[pk].late = True

    @rule(pk=workflows)
    def sweep(self, pk: UUID) -> None:
        model = self.models[pk]
        worked = services.time_out(pk)
        assert worked == (model.status == "PENDING" and model.late and not model.held)
        if worked and model.timeout_action == "hold":
            model.held = True
        elif worked and model.timeout_action == "approve":
            self.take_verdict(model, "approved", 120)
        elif worked:
            model.status = "TIMEOUT"

    @rule(
        pk=workflows,
        luck=st.sampled_from(["succeed", "lose the answer", "refuse", "worker dies"]),
    )
    def execute(self, pk: UUID, luck: str) -> None:
        model = self.models[pk]
        BEHAVIOUR["next"] = luck
        self.make_due(pk)
        if luck == "worker dies":
            executions.claim(pk)
        else:
            executions.execute(pk)
        if not model.due:
            return
        model.due, model.status = False, "EXECUTING"
        self.count_try(model)
        if luck == "worker dies":
            model.open = True
        elif luck == "succeed":
            model.status = "COMPLETED"
        elif model.semantics == "idempotent":
            self.try_again(model)
        else:
            model.status = "UNKNOWN" if luck == "lose the answer" else "FAILED"

    def try_again(self, model: Model) -> None:
        model.due = model.tries < 2
        model.status = "EXECUTING" if model.due else "FAILED"

    def rather(self, pk: UUID, fits: Callable[[Model], bool]) -> UUID:
        """The newest request that fits, if there is one: what is rare would hardly be met."""
        return next((each for each in reversed(self.models) if fits(self.models[each])), pk)

    def make_due(self, pk: UUID) -> None:
        past = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
        Workflow.objects.filter(pk=pk, execution_due_at__isnull=False).update(execution_due_at=past)

    @rule(pk=workflows)
    def lease_runs_out(self, pk: UUID) -> None:
        model = self.models[pk]
        attempt = ExecutionAttempt.objects.filter(workflow=pk, status="open").first()
        assert bool(attempt) == model.open
        if attempt is None:
            return
        attempt.lease_until = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
        attempt.save()
        assert executions.lapse(attempt.pk)
        model.open = False
        if model.semantics == "at_most_once":
            model.status = "UNKNOWN"
        elif model.by == "agent":
            model.status = "FAILED"
        else:
            self.try_again(model)

    def attempt(self, act: Any) -> bool:
        try:
            act()
        except HitlError:
            return False
        return True

    # --- What must hold after every step ---------------------------------------------------

    @invariant()
    def database_agrees_with_the_model(self) -> None:
        rows = {row.pk: row for row in Workflow.objects.filter(team=self.team)}
        assert rows.keys() == self.models.keys()
        for pk, model in self.models.items():
            assert rows[pk].status == model.status
            assert (rows[pk].execution_due_at is not None) == model.due
            if model.status in ("APPROVED", "EXECUTING", "COMPLETED", "FAILED", "UNKNOWN"):
                assert rows[pk].approved_data["amount"] == model.amount

    @invariant()
    def at_most_one_effective_decision_that_fits(self) -> None:
        for pk, model in self.models.items():
            decisions = Workflow(pk=pk).decisions
            effective = list(decisions.filter(is_effective=True, round=model.asked))
            undecided = model.status in ("PENDING", "TIMEOUT", "CANCELLED")
            assert len(effective) == (0 if undecided else 1)
            if effective:
                workflow = Workflow.objects.get(pk=pk)
                assert effective[0].fingerprint == canonical.fingerprint(workflow.action_data)
                assert (effective[0].verdict == "rejected") == (model.status == "REJECTED")

    @invariant()
    def log_is_gapless_chained_and_legal(self) -> None:
        for pk, model in self.models.items():
            events = list(Event.objects.filter(workflow_id=pk).order_by("seq"))
            assert [event.seq for event in events] == list(range(1, len(events) + 1))
            previous, status, clock, round_ = "", None, events[0].timestamp, 1
            for event in events:
                assert event.previous_hash == previous
                assert log.digest(event) == event.hash
                assert event.timestamp >= clock
                if event.type == EventType.WORKFLOW_ROLLED_BACK:
                    assert (status, event.status, event.round) in {(*b, round_ + 1) for b in BACK}
                else:
                    assert event.round == round_
                    assert event.status == status or (status, event.status) in LEGAL
                assert event.state_snapshot["status"] == event.status
                previous, status, clock = event.hash, event.status, event.timestamp
                round_ = event.round
            assert (status, round_) == (model.status, model.round)

    @invariant()
    def every_row_is_what_its_events_come_to(self) -> None:
        faults = state_check.check(list(self.models))
        assert {fault.field for fault in faults} <= MOVED

    @invariant()
    def nothing_ran_unless_approved_and_only_the_approved_bytes(self) -> None:
        for pk, model in self.models.items():
            keys = Counter(job.key for job in LEDGER.get(str(pk), []))
            ran = [job for job in LEDGER.get(str(pk), []) if _round(job) >= model.asked]
            if ran:
                workflow = Workflow.objects.get(pk=pk)
                assert model.status not in ("PENDING", "REJECTED", "TIMEOUT", "CANCELLED")
                assert {job.raw for job in ran} == {canonical.dumps(workflow.approved_data)}
            most = 1 if model.semantics == "at_most_once" else 2
            assert all(times <= most for times in keys.values())

    @invariant()
    def nobody_is_asked_after_the_verdict(self) -> None:
        for pk, model in self.models.items():
            if model.status != Status.PENDING:
                assert not Delivery.objects.filter(workflow_id=pk, status="pending").exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(600)
def test_random_lives_keep_every_invariant(request: pytest.FixtureRequest) -> None:
    examples = 40
    run_state_machine_as_test(
        Lives,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
