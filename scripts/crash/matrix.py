"""Runs one operation after the other, interrupted at every boundary, and has each run judged.

This process is warmed up once and forked for every part of a run: a fork is a fresh role.
"""

import json
import os
import signal
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.db import connections

from hitl.celery import app
from scripts.crash import boundaries, recovery, stores
from scripts.crash.boundaries import AFTER, BEFORE, Plan
from scripts.crash.checker import Ledgers, Run, judge
from scripts.crash.operations import WEB, Facts, Operation

LONGEST_SECONDS = 60  # for one part of a run
NEVER = 1_000_000
TOGETHER = 8  # runs that recover together
POSTGRES, KILL_REDIS, FLUSH_REDIS = "postgres", "redis killed", "redis flushed"


@dataclass(frozen=True)
class Blow:
    """What is hit at a boundary. `role`: the process itself, under the name of its role."""

    target: str
    when: str


BLOWS = (
    Blow("role", BEFORE),
    Blow("role", AFTER),
    Blow(KILL_REDIS, BEFORE),
    Blow(FLUSH_REDIS, AFTER),
    Blow(POSTGRES, BEFORE),
    Blow(POSTGRES, AFTER),
)


@dataclass
class Cell:
    """An operation and what was hit: how many runs, and what was wrong after which."""

    operation: str
    target: str
    runs: int = 0
    broken: list[str] = field(default_factory=list)


@dataclass
class World:
    """The stores, the stand-ins' ledgers, and where the database is."""

    postgres: stores.Server
    redis: stores.Server
    ledgers: Ledgers
    url: str

    def strike(self, target: str) -> Callable[[], None]:
        """What a boundary does."""
        if target == POSTGRES:
            return self.postgres.blow
        if target == KILL_REDIS:
            return self.redis.blow
        if target == FLUSH_REDIS:
            return partial(boundaries.flush, self.redis.port)
        return boundaries.kill_myself

    def mend(self) -> None:
        """Start again what was stopped."""
        self.postgres.mend()
        self.redis.mend()


def boundaries_of(world: World, operation: Operation) -> int:
    """How many statements it makes. Also warms this process up."""
    facts = operation.prepare()
    plan = Plan(NEVER, BEFORE, lambda: None)
    boundaries.arm(plan)
    told = operation.act(facts)
    boundaries.disarm()
    rounds = recovery.until_calm([])["rounds"]
    run = Run([told] if told else [], facts, operation.ends, "nothing", rounds)
    wrong = judge(world.url, world.ledgers, run)
    if wrong:
        raise RuntimeError(f"{operation.name} does not even hold undisturbed: {wrong}")
    return len(plan.seen)


def play(
    world: World, operation: Operation, blow: Blow, numbers: Sequence[int]
) -> list[list[str] | None]:
    """Runs that recover together; what is wrong after each, None where it was not interrupted."""
    every = [operation.prepare() for _ in numbers]
    strike = world.strike
    told: list[list[Facts]] = []
    struck = []
    for facts, number in zip(every, numbers, strict=True):
        act = partial(_act, operation, facts, blow.when, number, strike(blow.target))
        said = _in_child(act)
        world.mend()
        struck.append(any("struck" in each for each in said))
        told.append([each["told"] for each in said if each.get("told")])
    after = _in_child(partial(_recover, operation, every, [bool(each) for each in told]))
    for each in after:
        if each.get("told"):
            told[each["index"]].append(each["told"])
    rounds = next((each["rounds"] for each in after if "rounds" in each), None)
    errors = [each["error"] for each in after if "error" in each]
    found: list[list[str] | None] = []
    for facts, heard, hit in zip(every, told, struck, strict=True):
        run = Run(heard, facts, operation.ends, blow.target, rounds)
        wrong = judge(world.url, world.ledgers, run) + errors
        found.append(wrong if hit or wrong else None)
    return found


def _act(
    operation: Operation,
    facts: Facts,
    when: str,
    number: int,
    strike: Callable[[], None],
    say: Callable[..., None],
) -> None:
    def hit() -> None:
        say(struck=True)
        strike()

    boundaries.arm(Plan(number, when, hit))
    told = operation.act(facts)
    say(told=told)


def _recover(
    operation: Operation, every: list[Facts], is_told: list[bool], say: Callable[..., None]
) -> None:
    """Whoever was told nothing asks again; what a worker did not acknowledge comes again."""
    for index, facts in enumerate(every):
        if operation.role == WEB and not is_told[index]:
            say(told=operation.act(facts), index=index)
    message = operation.message
    say(**recovery.until_calm([message(facts) for facts in every] if message else []))


def _in_child(work: Callable[..., None]) -> list[dict[str, Any]]:
    """Let a fork of this process do it; what it said before its end, however that came."""
    connections.close_all()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _be_child(work, writer)
    os.close(writer)
    with os.fdopen(reader) as lines:
        said = [json.loads(line) for line in lines]
    os.waitpid(child, 0)
    return said


def _be_child(work: Callable[..., None], writer: int) -> None:
    """Nothing of the parent's connections, and no way back into its code."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.alarm(LONGEST_SECONDS)
    app._after_fork()
    with os.fdopen(writer, "w") as out:

        def say(**line: Any) -> None:
            print(json.dumps(line), file=out, flush=True)

        try:
            work(say=say)
        except Exception:
            say(error=traceback.format_exc()[-1500:])
    os._exit(0)


def run(
    world: World,
    operations: Sequence[Operation],
    blows: Sequence[Blow],
    *,
    stride: int,
    note: Callable[[Cell], None],
) -> None:
    """Every operation, every blow, every boundary (or every so many)."""
    for operation in operations:
        last = boundaries_of(world, operation)
        for target in dict.fromkeys(blow.target for blow in blows):
            cell = Cell(operation.name, operation.role if target == "role" else target)
            for blow in (each for each in blows if each.target == target):
                for numbers in _batches(
                    operation, _numbers(last, stride * operation.thinned, blow)
                ):
                    for number, wrong in zip(
                        numbers, play(world, operation, blow, numbers), strict=True
                    ):
                        _count(cell, f"{blow.when} {number} of {last}", wrong)
            note(cell)


def _count(cell: Cell, where: str, wrong: list[str] | None) -> None:
    if wrong is not None:
        cell.runs += 1
        cell.broken += [f"{where}: {'; '.join(wrong)}"] if wrong else []


def _batches(operation: Operation, numbers: range) -> list[range]:
    """What takes whatever is due would take it from its neighbours: it stands alone."""
    size = 1 if operation.is_sweep else TOGETHER
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


def _numbers(last: int, stride: int, blow: Blow) -> range:
    # Another phase for each, so that a small version does not meet the same statement always.
    return range(1 + (BLOWS.index(blow) * 2) % min(stride, last), last + 1, stride)
