"""Every order of steps and crashes keeps the promises, and every mistake breaks one."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.model import guards, promises
from tests.model.moves import World
from tests.model.scenarios import BELTS, MISTAKES, SMALL, WORLDS, Mistake
from tests.model.search import search
from workflows import executions, transitions
from workflows.models import ExecutionAttempt, Status, Workflow


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """What the guards said is remembered; some tests below change what they say."""
    guards.forget()
    yield
    guards.forget()


def test_every_order_of_steps_and_crashes_keeps_the_promises() -> None:
    reached: set[str] = set()
    for world in WORLDS.values():
        found = search(world)
        assert not found.broken, found.story
        assert found.states > 1000
        reached |= found.statuses
    assert reached == set(Status.values)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.says)
def test_a_mistake_breaks_a_promise(mistake: Mistake) -> None:
    found = search(mistake.mutated)
    assert " ".join(found.broken) == mistake.breaks, found.story


def test_every_promise_is_broken_by_some_mistake() -> None:
    assert {each for mistake in MISTAKES for each in mistake.breaks.split()} == set(
        promises.names()
    )


@pytest.mark.parametrize(("name", "belt"), BELTS)
def test_one_layer_alone_may_fail(name: str, belt: str) -> None:
    found = search(replace(SMALL[name], off=frozenset({belt})))
    assert not found.broken, found.story


def broken(world: World) -> str:
    return " ".join(search(world).broken)


def test_a_deadline_that_stops_nobody_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workflow, "is_late", lambda _self, _now: False)
    assert broken(WORLDS["answers race"]) == "I5"


def test_a_deadline_that_is_forgotten_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workflow, "is_overdue", lambda _self, _now: False)
    assert broken(WORLDS["answers race"]) == "L"


def test_a_lease_of_the_future_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def has_lapsed(self: ExecutionAttempt, _now: dt.datetime) -> bool:
        return self.status == self.Status.OPEN

    monkeypatch.setattr(ExecutionAttempt, "has_lapsed", has_lapsed)
    assert broken(WORLDS["at most once"]) == "I9"


def test_another_try_of_what_may_have_happened_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executions, "after_failure", lambda *_: None)
    assert broken(WORLDS["at most once"]) == "I8"


def test_a_rollback_of_what_has_completed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = frozenset({Status.APPROVED})
    monkeypatch.setitem(transitions.ROLLBACKS, Status.COMPLETED, wrong)
    without_trigger = replace(WORLDS["rollback"], off=frozenset({"constraints"}))
    assert broken(without_trigger) == "I4"
    assert not broken(WORLDS["rollback"])  # the database's own table refuses it
