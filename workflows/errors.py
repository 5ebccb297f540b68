"""What can go wrong in the life of a request: illegal is "not now", forbidden is "not you"."""

import datetime as dt

from events.types import Source
from hitl.lib.errors import Conflict, FieldError, Forbidden
from workflows.models import Status, Workflow


class IllegalTransition(Conflict):
    """The table of moves does not know this one."""

    code = "illegal-transition"
    title = "The request cannot go from here to there"

    def __init__(self, workflow: Workflow, to: Status) -> None:
        super().__init__(f"A request that is {workflow.status} cannot become {to}.")


class AlreadyDecided(Conflict):
    """Somebody was faster, or it was withdrawn; `detail` says who, where and when."""

    code = "already-decided"
    title = "The request has already been decided"

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        super().__init__(outcome_sentence(workflow))


class AskedAgain(Conflict):
    """The answer belongs to an earlier round; what was said there counts no more."""

    code = "asked-again"
    title = "This request was asked again"

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        super().__init__(
            f"This belongs to an earlier round of the request, which is asked again in round "
            f"{workflow.asked_round}: look at it as it is now, and answer that."
        )


class CannotRollBack(Conflict):
    """No such earlier state can be restored now; `detail` says what is possible instead."""

    code = "illegal-transition"
    title = "The request cannot go from here to there"

    def __init__(self, workflow: Workflow, why: str) -> None:
        self.workflow = workflow
        super().__init__(why)


class Expired(Conflict):
    """The deadline has passed by the database's clock."""

    code = "expired"
    title = "The deadline has passed"

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        when = workflow.expires_at.strftime("%Y-%m-%d %H:%M:%S UTC")
        super().__init__(f"The deadline was {when}; nobody can decide this request any more.")


class DigestMismatch(Conflict):
    """The caller decided on other data than is stored."""

    code = "digest-mismatch"
    title = "The data has changed since it was shown"

    def __init__(self) -> None:
        super().__init__(
            "The fingerprint you sent is not the one of the stored data: load the request again "
            "and decide on what it says now."
        )


class NotYours(Forbidden):
    """The person may see the request but may not decide it; `detail` says why."""

    code = "forbidden"
    title = "You may not decide this request"


class StageMoved(Conflict):
    """The stage somebody wanted to answer in is closed; another is open."""

    code = "stage-moved"
    title = "The request has moved on"

    def __init__(self, now: str) -> None:
        super().__init__(f"It is now up to {now}: look at the request again before you answer.")


class StepUpNeeded(Forbidden):
    """The policy wants a second factor at this risk."""

    code = "step-up-needed"
    title = "Prove that it is you"

    def __init__(self) -> None:
        super().__init__(
            "The policy asks for a second factor at this risk: open the request in the dashboard "
            "and confirm with your authenticator or passkey."
        )


class Claimed(Conflict):
    """Somebody else looks after the request; `detail` says who."""

    code = "claimed"
    title = "Somebody else looks after the request"

    def __init__(self, workflow: Workflow) -> None:
        super().__init__(
            f"{workflow.claimed_by} looks after it. You may decide all the same, or ask them or a "
            "manager to release it."
        )


class NotExecutable(Conflict):
    """The execution report does not fit the state of the request."""

    code = "execution-conflict"
    title = "The execution cannot be reported now"


class NotApproved(Conflict):
    """There is no approval in force, so nothing may be handed out that lets somebody act."""

    code = "not-approved"
    title = "There is no approval to act on"


class Reconciling(Conflict):
    """The server was restored from a backup, and nobody has said yet what became of the request."""

    code = "reconciling"
    title = "The server was restored from a backup"

    def __init__(self) -> None:
        super().__init__(
            "The server was restored from a backup, so this action may have been carried out "
            "without its knowing. Do not act: tell an operator what you know, and ask again once "
            "somebody has confirmed what happened."
        )


class ReceiptInvalid(Conflict):
    """Nobody may act on this receipt; the one entry of `errors` says why, with a stable code."""

    code = "receipt-invalid"
    title = "The receipt is not valid"

    def __init__(self, reason: str, sentence: str, pointer: str = "/receipt") -> None:
        super().__init__(sentence, [FieldError(pointer, sentence, reason)])


class ReceiptConsumed(Conflict):
    """The approval has been used, with this receipt or another; `detail` says when and by whom."""

    code = "receipt-consumed"
    title = "The receipt has been used"


def outcome_sentence(workflow: Workflow) -> str:
    """One sentence for losers of a race and visitors of old links: what, who, where, when."""
    sentence = verdict_sentence(workflow)
    return f"Already {sentence[0].lower()}{sentence[1:]}" if workflow.decision else sentence


def verdict_sentence(workflow: Workflow) -> str:
    """One sentence for every copy of the question: what became of it, who, where, when."""
    if workflow.status == Status.CANCELLED:
        return f"The agent {workflow.agent.name} has withdrawn this request."
    if workflow.status == Status.TIMEOUT:
        return f"Nobody decided by {_clock(workflow.expires_at)}: the request has timed out."
    if not workflow.decision or workflow.responded_at is None:
        return "This request is waiting for a decision."
    verdict = workflow.get_decision_display()
    if workflow.responded_via == Source.RULE:
        return f"{verdict} by a rule at {_clock(workflow.responded_at)}: {workflow.feedback}"
    who = who_decided(workflow) or "nobody (silence approves)"
    where = workflow.get_responded_via_display()
    return f"{verdict} by {who} in {where} at {_clock(workflow.responded_at)}."


def who_decided(workflow: Workflow) -> str:
    """`Ann`, or `Bob for Ann` where a stand-in had the last word; "" where nobody did."""
    if workflow.responded_by is None:
        return ""
    last = workflow.decisions.filter(round=workflow.asked_round, is_effective=True)
    behalf = last.select_related("behalf").first()
    whose = f" for {behalf.behalf}" if behalf and behalf.behalf else ""
    return f"{workflow.responded_by}{whose}"


def _clock(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
