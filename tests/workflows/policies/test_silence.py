"""The deadline: what it does, and how far it moves."""

import datetime as dt
from typing import Any

import pytest

from hitl.lib.errors import InvalidInput
from tests.workflows.policies.builders import ANN, DAN, of, policy, stage
from workflows.policies import shape
from workflows.policies.shape import Stage
from workflows.policies.silence import Silence, at_deadline, extended

DEADLINE = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
STEPS = [{"after": 60 * n, "to": {"users": [DAN]}, "count": 1} for n in (1, 2)]


def read(**more: Any) -> Stage:
    return shape.read(policy(stage(of(1, ANN), **more))).stages[0]


@pytest.mark.parametrize(
    ("action", "fallback", "risk", "expected"),
    [
        (None, "reject", "low", "reject"),
        (None, "hold", "high", "hold"),
        (None, "approve", "low", "approve"),
        (None, "approve", "high", "reject"),
        ("reject", "approve", "low", "reject"),
        ("hold", "reject", "low", "hold"),
        ("approve", "reject", "medium", "reject"),
        (None, "nonsense", "low", "reject"),
        ("escalate", "reject", "low", "reject"),
    ],
)
def test_what_silence_means(action: str | None, fallback: str, risk: str, expected: str) -> None:
    given = read(timeoutAction=action)
    found = at_deadline(given, deadline=DEADLINE, risk=risk, fallback=fallback)
    assert found == Silence(expected)


def test_escalates_step_by_step_and_then_rejects() -> None:
    given = read(timeoutAction="escalate", escalation=STEPS)
    done: list[str] = []
    for number in (0, 1):
        found = at_deadline(given, deadline=DEADLINE, risk="high", done=done)
        assert found == Silence("escalate", number, DEADLINE + HOUR)
        done.append(f"escalation/{number}/0")
    assert at_deadline(given, deadline=DEADLINE, risk="high", done=done) == Silence("reject")


@pytest.mark.parametrize(("moved", "wanted"), [(0, 1), (0, 2), (1, 2), (2, 2.5), (2.5, 3)])
def test_deadline_moves_within_its_bound(moved: float, wanted: float) -> None:
    given = read(extendMax=3 * 3600)
    new = DEADLINE + wanted * HOUR
    assert extended(given, original=DEADLINE, current=DEADLINE + moved * HOUR, wanted=new) == new


@pytest.mark.parametrize(
    ("most", "moved", "wanted", "said"),
    [
        (0, 0, 1, "does not allow"),
        (3, 0, 0, "later than"),
        (3, 1, 0.5, "later than"),
        (3, 0, 3.01, "2026-01-05 15:00 UTC at the latest"),
        (3, 2.9, 3.1, "at the latest"),
    ],
)
def test_deadline_moves_no_further(most: int, moved: float, wanted: float, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        extended(
            read(extendMax=most * 3600),
            original=DEADLINE,
            current=DEADLINE + moved * HOUR,
            wanted=DEADLINE + wanted * HOUR,
        )
    assert caught.value.errors[0].pointer == "/expiresAt"
