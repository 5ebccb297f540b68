"""What the deadline does when it passes, and how far it may be moved."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from hitl.lib.errors import FieldError, InvalidInput
from workflows.policies.escalation import ESCALATION
from workflows.policies.evaluate import Case
from workflows.policies.shape import APPROVE, ESCALATE, HOLD, REJECT, Stage

# How long the people of a step have whom only the deadline brought in, unless the caller says.
GRACE = dt.timedelta(hours=1)


_ENDINGS = {REJECT: "timeout", HOLD: "held", ESCALATE: "escalated", APPROVE: "silence"}


@dataclass(frozen=True)
class Silence:
    """What happens at the deadline. `reject` ends in TIMEOUT, which is no rejection by anybody.

    `escalate` names the step to take and the new deadline.
    """

    action: str
    step: int | None = None
    deadline: dt.datetime | None = None


def at_deadline(
    stage: Stage,
    *,
    deadline: dt.datetime,
    risk: str,
    done: Collection[str] = (),
    fallback: str = REJECT,
    grace: dt.timedelta = GRACE,
) -> Silence:
    """What silence in the open stage means. `fallback` is what the request itself says.

    Silence approves at low risk only; otherwise it rejects. It escalates to the first step that
    has not been taken, which gives its people `grace`; when no step is left it rejects.
    """
    action = stage.timeout_action or fallback
    if action == APPROVE and risk != "low":
        return Silence(REJECT)
    if action == ESCALATE:
        return _escalated(stage, deadline + grace, done)
    return Silence(action if action in (HOLD, APPROVE) else REJECT)


def _escalated(stage: Stage, later: dt.datetime, done: Collection[str]) -> Silence:
    for number in range(len(stage.escalation)):
        if f"{ESCALATION}/{number}/0" not in done:
            return Silence(ESCALATE, number, later)
    return Silence(REJECT)


def ending(case: Case, silence: Silence) -> str:
    """What becomes of a request whose deadline has passed by the clock that judges it.

    "approved", "modified" or "rejected" where people had decided before; otherwise "timeout",
    "held", "escalated" or "silence" (nobody objected, which approves). Where an objection stands
    that did not suffice to reject, silence is no consent: "timeout".
    """
    if case.outcome:
        return str(case.outcome)
    if silence.action == APPROVE and case.state.rejecting:
        return _ENDINGS[REJECT]
    return _ENDINGS[silence.action]


def extended(
    stage: Stage, *, original: dt.datetime, current: dt.datetime, wanted: dt.datetime
) -> dt.datetime:
    """The new deadline that somebody asks for, or InvalidInput with how far it may go.

    `original` is the deadline the request was created with; the bound counts from there, however
    often the deadline is moved.
    """
    latest = original + dt.timedelta(seconds=stage.extend_max)
    if stage.extend_max == 0:
        message = "The policy does not allow moving the deadline."
    elif wanted <= current:
        message = "The new deadline has to be later than the one there is."
    elif wanted > latest:
        message = f"The policy allows {latest:%Y-%m-%d %H:%M} UTC at the latest."
    else:
        return wanted
    raise InvalidInput(message, [FieldError("/expiresAt", message)])
