"""What everybody can do next: one small step each, and what bad luck can do.

A use case is a transaction of four steps (lock and read; judge and write; commit; answer), as in
the code under test. `World.off` names layers of protection that are taken away.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.model import guards
from tests.model.state import FREE, Attempt, Call, Db, Decision, Entry, Process, State

MAX_ATTEMPTS = 2
DEADLINE = LEASE = RETRY = 1  # seconds
OPEN = "open"
PEOPLE = ("ann", "bob", "agent", "boss")
IN_TRANSACTION = ("waiting", "locked", "written")


@dataclass(frozen=True)
class Person:
    """Somebody who answers, withdraws or rolls back; `seen` is the round they have before them."""

    name: str
    does: tuple[str, ...]
    seen: int = 1
    turns: int = 1


@dataclass(frozen=True)
class World:
    """Who takes part, and which layers of protection are off."""

    people: tuple[Person, ...]
    workers: int = 2
    beats: int = 1
    semantics: str = "at_most_once"
    crashes: int = 1
    tampers: bool = False
    off: frozenset[str] = field(default_factory=frozenset)

    @property
    def first(self) -> State:
        """The moment after the request was made."""
        staff = (Process(),) * (self.beats + self.workers)
        people = tuple(Process(turns=each.turns) for each in self.people)
        return State(people + staff, crashes=self.crashes)

    def role(self, index: int) -> str:
        """What kind of process it is: person, beat or worker."""
        if index < len(self.people):
            return "person"
        return "beat" if index < len(self.people) + self.beats else "worker"


class Step(NamedTuple):
    """One step: its name, whether it is a system's duty (or luck and free will), what follows."""

    name: str
    is_duty: bool
    state: State


def steps(world: World, state: State) -> Iterator[Step]:
    """Everything that can happen next."""
    for index, process in enumerate(state.processes):
        yield from _of_process(world, state, index, process)
        if state.crashes and process.place not in ("idle", "done"):
            yield Step(f"{index} is killed", False, _killed(state, index))
    yield from _of_the_world(world, state)


def _of_process(world: World, state: State, index: int, process: Process) -> Iterator[Step]:
    name = f"{world.role(index)} {index}: {process.op}"
    if process.place == "idle":
        for op, is_duty, poke in _wishes(world, state, index):
            label = f"{world.role(index)} {index} begins to {op}"
            begun = _begin(world, state._replace(poke=poke), index, op)
            if begun:
                yield Step(label, is_duty, begun)
    elif process.place == "waiting":
        if state.lock == FREE:
            yield Step(f"{name} gets the lock", True, _lock(world, state, index, process))
    elif process.place == "locked":
        if state.lock in (FREE, index):
            yield Step(f"{name} judges", True, _judge(world, state, index, process))
    elif process.place == "written":
        yield Step(f"{name} commits", True, _commit(world, state, index, process))
    elif process.place == "committed":
        yield Step(f"{name} goes on", True, _go_on(world, state, index, process))
    elif process.place == "half":
        yield Step(f"{name} writes the event", True, _write_event(state, index, process))
    elif process.place == "calling":
        yield from _call(state, index, process)
    elif process.place == "settling":
        begun = _begin(world, state, index, process.op)
        if begun:
            yield Step(f"{name} begins", True, begun)


# --- What somebody would like to begin -----------------------------------------------------------


def _wishes(world: World, state: State, index: int) -> Iterator[tuple[str, bool, bool]]:
    """Operations, whether they are a duty, and whether a poke is left in the queue."""
    role, db = world.role(index), state.db
    if role == "person":
        for op in _personal(world, state, index):
            yield op, False, state.poke
    elif role == "beat":
        for op in _due(world, state):
            yield op, True, state.poke
    elif state.poke:
        yield "claim", True, False
        yield "claim", False, True  # the broker delivers it once more
    elif db.status in ("APPROVED", "EXECUTING") and not db.attempts:
        yield "claim", False, False  # an old message, from nowhere


def _personal(world: World, state: State, index: int) -> Iterator[str]:
    person, status = world.people[index], state.db.status
    if state.processes[index].turns < 1 or person.seen > state.db.round:
        return
    for op in person.does:
        if op == "look":
            if status == "UNKNOWN":
                yield from ("find it done", "find it not done")
        elif op == "roll back":
            for to in guards.ways_back(status):
                yield f"back to {to}"
        else:
            yield op


def _due(world: World, state: State) -> Iterator[str]:
    """What a sweep finds, looking without a lock."""
    db, now = state.db, state.now
    early = "early sweep" in world.off and db.status == "PENDING"
    if guards.is_overdue(db.status, db.expires, now) or early:
        yield "expire"
    if "lease" not in world.off:
        slack = 9 if "early lapse" in world.off else 0
        if any(guards.has_lapsed(a.status, a.lease, now + slack) for a in db.attempts):
            yield "lapse"
    due = guards.is_executable(db.status, db.due, now)
    if due and not state.poke and "sweeps" not in world.off:
        yield "poke"


# --- The four steps of a transaction -------------------------------------------------------------


def _begin(world: World, state: State, index: int, op: str) -> State | None:
    process = state.processes[index]._replace(op=op, clock=state.now)
    if op == "poke":
        return state._replace(poke=True)
    if "clock" in world.off:
        return state._replace(processes=state.put(index, process._replace(place="waiting")))
    return None if state.lock != FREE and not _unlocked(world, op) else (
        _lock(world, state, index, process)
    )  # fmt: skip


def _unlocked(world: World, op: str) -> bool:
    return "lock" in world.off or f"lock of {op}" in world.off


def _lock(world: World, state: State, index: int, process: Process) -> State:
    lock = state.lock if _unlocked(world, process.op) else index
    locked = process._replace(place="locked", seen=state.db)
    return state._replace(processes=state.put(index, locked), lock=lock)


def _judge(world: World, state: State, index: int, process: Process) -> State:
    """Under the lock: refuse, or write what waits for the commit from now on."""
    assert process.seen is not None
    now = process.clock if "clock" in world.off else state.now
    new = JUDGES[process.op.split(" to ")[0]](world, state, index, now)
    if new is None:
        return _refused(world, state, index, process)
    written = process._replace(place="written", new=new, seen=None)
    if process.op == "claim":
        opened = len(new.attempts) > len(state.db.attempts)
        number = new.attempts[-1].number if opened else 0
        written = written._replace(attempt=number, data=new.data)
    ledger = state.ledger
    if process.op == "claim" and "durable" in world.off:
        ledger += (_effect(state, new.attempts[-1].number, new.data),)
    state = state._replace(processes=state.put(index, written), lock=index, ledger=ledger)
    return _answered(world, state, index) if "answer last" in world.off else state


def _refused(world: World, state: State, index: int, process: Process) -> State:
    lock = FREE if state.lock == index else state.lock
    if world.role(index) != "person":
        return state._replace(processes=state.put(index, Process()), lock=lock)
    if _stands(world, state.db, index, process.op):  # said before: the same answer again
        state = _answered(world, state, index)
    done = Process("done" if process.turns <= 1 else "idle", turns=process.turns - 1)
    return state._replace(processes=state.put(index, done), lock=lock)


def _commit(world: World, state: State, index: int, process: Process) -> State:
    assert process.new is not None
    after = process._replace(place="committed", new=None)
    if "one transaction" in world.off:
        row = process.new._replace(log=state.db.log, seq=state.db.seq)
        half = process._replace(place="half")
        return state._replace(db=row, processes=state.put(index, half), lock=FREE)
    if world.role(index) == "beat" or process.op.startswith("settle"):
        after = Process()
    return state._replace(db=process.new, processes=state.put(index, after), lock=FREE)


def _write_event(state: State, index: int, process: Process) -> State:
    assert process.new is not None
    db = state.db._replace(log=process.new.log, seq=process.new.seq)
    return state._replace(db=db, processes=state.put(index, Process("done")))


def _go_on(world: World, state: State, index: int, process: Process) -> State:
    """After the commit: people get their answer and workers a poke; a worker acts."""
    if world.role(index) == "worker":
        op, place = ("settle done", "settling") if "durable" in world.off else ("", "calling")
        acting = Process(place, op, attempt=process.attempt, data=process.data)
        if not process.attempt:  # it was tampered with, and nothing is run
            acting = Process()
        return state._replace(processes=state.put(index, acting))
    state = _answered(world, state, index)
    poke = state.poke or process.op in ("approve", "back to APPROVED")
    done = Process("done" if process.turns <= 1 else "idle", turns=process.turns - 1)
    return state._replace(processes=state.put(index, done), poke=poke)


def _answered(world: World, state: State, index: int) -> State:
    """Somebody has been told that their answer counts."""
    person, op = world.people[index], state.processes[index].op
    if op not in ("approve", "reject"):
        return state
    told = (person.name, op, person.seen)
    return state._replace(acknowledged=state.acknowledged | {told})


# --- What each one writes ------------------------------------------------------------------------


def _move(
    world: World, state: State, index: int, to: str, why: str, *, new: Db, timely: bool = True,
    attempt: int = 0,
) -> Db | None:  # fmt: skip
    """A status and its event, or None where a layer that is on refuses."""
    seen = state.processes[index].seen
    assert seen is not None
    if "table" not in world.off and to != seen.status and not guards.may_move(seen.status, to):
        return None
    return _write(world, state, index, to, why, new=new, timely=timely, attempt=attempt)


def _write(
    world: World, state: State, index: int, to: str, why: str, *, new: Db, timely: bool = True,
    attempt: int = 0,
) -> Db | None:  # fmt: skip
    seen, db = state.processes[index].seen, state.db
    assert seen is not None
    if "version" not in world.off and (seen.status, seen.seq) != (db.status, db.seq):
        return None
    log = (*db.log, Entry(to, new.round, why, timely, attempt))
    last = seen if "number" in world.off else db
    new = new._replace(status=to, seq=last.seq + 1, log=log)
    return new if "constraints" in world.off or _constraints_hold(db, new) else None


def _constraints_hold(old: Db, new: Db) -> bool:
    """The unique indexes, and the trigger with its own copy of the tables."""
    rounds = [each.round for each in new.decisions]
    numbers = [each.number for each in new.attempts]
    running = sum(each.status == OPEN for each in new.attempts)
    if len(set(rounds)) < len(rounds) or len(set(numbers)) < len(numbers) or running > 1:
        return False
    if new.status == old.status:
        return True
    known = guards.TRIGGER_MOVES if new.round == old.round else guards.TRIGGER_ROLLBACKS
    if f"{old.status}>{new.status}" not in known:
        return False
    wanted = {"APPROVED": "approve", "REJECTED": "reject"}.get(new.status)
    return not wanted or any(d.round == new.asked and d.verdict == wanted for d in new.decisions)


def _stands(world: World, db: Db, index: int, verdict: str) -> bool:
    name = world.people[index].name
    return any((d.who, d.verdict, d.round) == (name, verdict, db.asked) for d in db.decisions)


def _decide(world: World, state: State, index: int, now: int) -> Db | None:
    person, process, db = world.people[index], state.processes[index], state.db
    seen, verdict = process.seen or db, process.op
    in_round = seen.asked <= person.seen <= seen.round or "rounds" in world.off
    if not in_round or _stands(world, seen, index, verdict):
        return None
    if "table" not in world.off and seen.status != "PENDING":
        return None
    if guards.is_late(seen.expires, now):
        return None
    answer = Decision(person.name, verdict, db.round, person.seen, seen.data)
    new = db._replace(decisions=(*db.decisions, answer))
    if verdict == "approve":
        new = new._replace(due=now)
    to = {"approve": "APPROVED", "reject": "REJECTED"}[verdict]
    timely = state.now < db.expires
    return _move(world, state, index, to, verdict, new=new, timely=timely)


def _cancel(world: World, state: State, index: int, now: int) -> Db | None:
    seen = state.processes[index].seen
    if seen and seen.status != "PENDING" and "table" not in world.off:
        return None
    return _move(world, state, index, "CANCELLED", "cancel", new=state.db)


def _expire(world: World, state: State, index: int, now: int) -> Db | None:
    seen = state.processes[index].seen
    assert seen is not None
    early = "early sweep" in world.off and seen.status == "PENDING"
    if not early and not guards.is_overdue(seen.status, seen.expires, now):
        return None
    timely = state.now >= state.db.expires
    return _move(world, state, index, "TIMEOUT", "expire", new=state.db, timely=timely)


def _claim(world: World, state: State, index: int, now: int) -> Db | None:
    seen, db = state.processes[index].seen, state.db
    assert seen is not None
    if not guards.is_executable(seen.status, seen.due, now):
        return None
    agreed = next((d for d in seen.decisions if d.round == seen.asked), None)
    if "digest" not in world.off and (agreed is None or agreed.data != seen.data):
        return _refuse_tampered(world, state, index)
    attempt = Attempt(len(seen.attempts) + 1, db.round, OPEN, now + LEASE)
    new = db._replace(attempts=(*db.attempts, attempt), due=None)
    return _move(world, state, index, "EXECUTING", "claim", new=new, attempt=attempt.number)


def _refuse_tampered(world: World, state: State, index: int) -> Db | None:
    db = state.db
    if db.status == "APPROVED":
        moved = _move(world, state, index, "EXECUTING", "tampered", new=db)
        if moved is None:
            return None
        db = moved
    log = (*db.log, Entry("FAILED", db.round, "tampered"))
    return db._replace(status="FAILED", seq=db.seq + 1, log=log, due=None)


def _settle(world: World, state: State, index: int, now: int) -> Db | None:
    process, db = state.processes[index], state.db
    attempt = next(a for a in db.attempts if a.number == process.attempt)
    if attempt.status != OPEN and "fence" not in world.off:
        return None
    if process.op == "settle done":
        new = _closed(db, attempt, "succeeded")
        return _move(world, state, index, "COMPLETED", "settle", new=new, attempt=attempt.number)
    to = guards.after_failure(world.semantics, process.op == "settle lost", _tries_left(db))
    return _end_or_retry(world, state, index, to, _closed(db, attempt, "failed"), attempt, now)


def _lapse(world: World, state: State, index: int, now: int) -> Db | None:
    db = state.db
    slack = 9 if "early lapse" in world.off else 0
    found = [a for a in db.attempts if guards.has_lapsed(a.status, a.lease, now + slack)]
    if not found:
        return None
    attempt = found[0]
    semantics = "idempotent" if "at most once" in world.off else world.semantics
    to = guards.after_silence(semantics, _tries_left(db))
    new = _closed(db, attempt, "lapsed")
    return _end_or_retry(
        world, state, index, to, new, attempt, now, why="lapse", timely=state.now >= attempt.lease
    )


def _end_or_retry(
    world: World, state: State, index: int, to: str | None, new: Db, attempt: Attempt, now: int,
    *, why: str = "settle", timely: bool = True,
) -> Db | None:  # fmt: skip
    if to is None:
        new = new._replace(due=now + RETRY)
    return _move(
        world, state, index, to or "EXECUTING", why, new=new, timely=timely,
        attempt=attempt.number,
    )  # fmt: skip


def _closed(db: Db, attempt: Attempt, status: str) -> Db:
    attempts = tuple(a._replace(status=status) if a == attempt else a for a in db.attempts)
    return db._replace(attempts=attempts)


def _tries_left(db: Db) -> bool:
    return sum(each.round == db.round for each in db.attempts) < MAX_ATTEMPTS


def _find(world: World, state: State, index: int, now: int) -> Db | None:
    process = state.processes[index]
    if process.seen is None or process.seen.status != "UNKNOWN":
        return None
    to = "COMPLETED" if process.op == "find it done" else "FAILED"
    return _move(world, state, index, to, "look", new=state.db)


def _back(world: World, state: State, index: int, now: int) -> Db | None:
    process, db = state.processes[index], state.db
    to = process.op.removeprefix("back to ")
    if process.seen is None or to not in guards.ways_back(process.seen.status):
        return None
    new = db._replace(round=db.round + 1, due=now if to == "APPROVED" else None)
    if to == "PENDING":
        new = new._replace(asked=new.round, expires=now + DEADLINE)
    return _write(world, state, index, to, "roll back", new=new)


Judge = Callable[[World, State, int, int], Db | None]
JUDGES: dict[str, Judge] = {
    "approve": _decide,
    "reject": _decide,
    "cancel": _cancel,
    "expire": _expire,
    "claim": _claim,
    "lapse": _lapse,
    "settle done": _settle,
    "settle lost": _settle,
    "settle refused": _settle,
    "find it done": _find,
    "find it not done": _find,
    "back": _back,
}


# --- The world outside, and luck -----------------------------------------------------------------


def _call(state: State, index: int, process: Process) -> Iterator[Step]:
    """The foreign system does it, does it and says nothing, or refuses."""
    acted = state._replace(ledger=(*state.ledger, _effect(state, process.attempt, process.data)))
    for said, after in (("done", acted), ("lost", acted), ("refused", state)):
        told = process._replace(place="settling", op=f"settle {said}")
        yield Step(f"{index}: the call is {said}", True, after._replace(
            processes=after.put(index, told)
        ))  # fmt: skip


def _effect(state: State, number: int, data: int) -> Call:
    """What the world sees, and whether an approval of just this was committed before."""
    db = state.db
    agreed = [d for d in db.decisions if d.round <= db.round and d.verdict == "approve"]
    attempt = next((a for a in db.attempts if a.number == number), None)
    allowed = bool(agreed) and agreed[-1].data == data and attempt is not None
    return Call(attempt.round if attempt else db.round, number, allowed)


def _of_the_world(world: World, state: State) -> Iterator[Step]:
    if _something_waits(state):
        yield Step("a second passes", True, state._replace(now=state.now + 1))
    if state.poke:
        yield Step("the queue is emptied", False, state._replace(poke=False))
    if world.tampers and not state.db.data and state.lock == FREE:
        yield Step("somebody tampers", False, state._replace(db=state.db._replace(data=1)))
    if state.crashes and any(each.place in IN_TRANSACTION for each in state.processes):
        yield Step("the database is stopped", False, _database_stopped(state))


def _something_waits(state: State) -> bool:
    """Time passes only as long as it changes something: the search must end."""
    db, now = state.db, state.now
    if db.status == "PENDING":
        return db.expires > now
    return (db.due is not None and db.due > now) or any(
        each.status == OPEN and each.lease > now for each in db.attempts
    )


def _killed(state: State, index: int) -> State:
    """What was not committed is gone with the lock. Clients ask again, workers begin anew."""
    anew = Process(turns=state.processes[index].turns)
    lock = FREE if state.lock == index else state.lock
    return state._replace(processes=state.put(index, anew), lock=lock, crashes=state.crashes - 1)


def _database_stopped(state: State) -> State:
    processes = tuple(
        Process(turns=each.turns) if each.place in IN_TRANSACTION else each
        for each in state.processes
    )
    return state._replace(processes=processes, lock=FREE, crashes=state.crashes - 1)
