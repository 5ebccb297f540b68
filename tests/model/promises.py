"""What must hold in every state of the model. Uses nothing of the code under test.

The numbers are those of the list of invariants: I1 one verdict, I2 no gap, I3 and I13 row and log
agree, I4 legal moves, I5 in time and by whoever was asked, I6 never early, I7 only what was
approved, I8 at most once, I9 attempts and outcome agree, I10 the newest attempt alone writes, I17
what was acknowledged is there; L: from everywhere a settled end can still be reached.
"""

from collections.abc import Callable, Iterator

from tests.model.state import Db, State

LEGAL = {
    ("PENDING", "APPROVED"), ("PENDING", "REJECTED"), ("PENDING", "TIMEOUT"),
    ("PENDING", "CANCELLED"), ("APPROVED", "EXECUTING"), ("EXECUTING", "COMPLETED"),
    ("EXECUTING", "FAILED"), ("EXECUTING", "UNKNOWN"), ("UNKNOWN", "COMPLETED"),
    ("UNKNOWN", "FAILED"),
}  # fmt: skip
BACK = {
    ("APPROVED", "PENDING"), ("REJECTED", "PENDING"), ("TIMEOUT", "PENDING"),
    ("FAILED", "PENDING"), ("FAILED", "APPROVED"),
}  # fmt: skip
ENDED = ("REJECTED", "TIMEOUT", "CANCELLED", "COMPLETED", "FAILED", "UNKNOWN")


def broken(state: State, semantics: str) -> list[str]:
    """The names of the promises that this state breaks."""
    names = [name for name, holds in PROMISES.items() if not holds(state.db)]
    if any(not call.allowed for call in state.ledger):
        names.append("I7")
    rounds = [call.round for call in state.ledger]
    if semantics == "at_most_once" and len(set(rounds)) < len(rounds):
        names.append("I8")
    said = {(each.who, each.verdict, each.seen) for each in state.db.decisions}
    if not state.acknowledged <= said:
        names.append("I17")
    return names


def changed(before: Db, after: Db) -> list[str]:
    """The names of the promises that a step breaks: what is decided or logged stays."""
    if before is after:
        return []
    names = []
    if after.decisions[: len(before.decisions)] != before.decisions:
        names.append("I1")
    if after.log[: len(before.log)] != before.log:
        names.append("I2")
    return names


def is_settled(state: State) -> bool:
    """Whether it has come to an end."""
    return state.db.status in ENDED


def _one_verdict(db: Db) -> bool:
    rounds = [each.round for each in db.decisions]
    return len(set(rounds)) == len(rounds)


def _no_gap(db: Db) -> bool:
    return db.seq == len(db.log)


def _row_is_last_event(db: Db) -> bool:
    last = db.log[-1]
    return (last.status, last.round) == (db.status, db.round)


def _legal(db: Db) -> bool:
    for before, after in zip(db.log, db.log[1:], strict=False):
        move = (before.status, after.status)
        if before.status == after.status and before.round == after.round:
            continue
        if move not in (LEGAL if before.round == after.round else BACK):
            return False
    return True


def _by_whoever_was_asked_in_time(db: Db) -> bool:
    answers = [each for each in db.log if each.why in ("approve", "reject")]
    if not all(each.timely for each in answers) or any(d.seen != d.round for d in db.decisions):
        return False
    wanted = {"REJECTED": "reject"} | dict.fromkeys(
        ("APPROVED", "EXECUTING", "COMPLETED", "FAILED", "UNKNOWN"), "approve"
    )
    verdict = wanted.get(db.status)
    return not verdict or any(
        each.round == db.asked and each.verdict == verdict for each in db.decisions
    )


def _never_early(db: Db) -> bool:
    if not all(each.timely for each in db.log if each.why == "expire"):
        return False
    over = {each.round for each in db.log if each.status == "TIMEOUT"}
    return not over & {each.round for each in db.decisions}


def _attempts_agree(db: Db) -> bool:
    running = [each for each in db.attempts if each.status == "open"]
    if len(running) > 1 or not all(each.timely for each in db.log if each.why == "lapse"):
        return False
    if db.status == "EXECUTING" and not running and db.due is None:
        return False
    if running and db.status != "EXECUTING":
        return False
    return all(
        after.why == "look"
        for before, after in zip(db.log, db.log[1:], strict=False)
        if before.status == "UNKNOWN" and before.round == after.round
    )


def _newest_attempt_writes(db: Db) -> bool:
    """Each attempt is settled once: by its worker, or by the sweep that gave it up."""
    ends = [each.attempt for each in db.log if each.why in ("settle", "lapse")]
    return len(set(ends)) == len(ends)


PROMISES: dict[str, Callable[[Db], bool]] = {
    "I1": _one_verdict,
    "I2": _no_gap,
    "I3": _row_is_last_event,
    "I4": _legal,
    "I5": _by_whoever_was_asked_in_time,
    "I6": _never_early,
    "I9": _attempts_agree,
    "I10": _newest_attempt_writes,
}


def names() -> Iterator[str]:
    """Every promise that is judged."""
    yield from (*PROMISES, "I7", "I8", "I17", "L")
