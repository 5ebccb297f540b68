"""What the model knows at one moment: plain tuples, so that equal moments are met once only."""

from typing import NamedTuple

FREE = -1  # nobody holds the row


class Entry(NamedTuple):
    """One event. `timely`: judged by the true clock at the moment when it was decided on."""

    status: str
    round: int
    why: str
    timely: bool = True
    attempt: int = 0


class Decision(NamedTuple):
    """An effective answer. `seen`: the round that whoever answered had before them."""

    who: str
    verdict: str
    round: int
    seen: int
    data: int


class Attempt(NamedTuple):
    """One try to carry out, with the end of its lease."""

    number: int
    round: int
    status: str
    lease: int


class Call(NamedTuple):
    """An effect in the world outside, and whether it was allowed at that moment."""

    round: int
    number: int
    allowed: bool


class Db(NamedTuple):
    """What is committed. `data` stands for the bytes; whoever tampers with them makes it 1."""

    status: str = "PENDING"
    seq: int = 1
    round: int = 1
    asked: int = 1
    expires: int = 1
    due: int | None = None
    data: int = 0
    log: tuple[Entry, ...] = (Entry("PENDING", 1, "created"),)
    decisions: tuple[Decision, ...] = ()
    attempts: tuple[Attempt, ...] = ()


class Process(NamedTuple):
    """Where somebody stands: idle, waiting, locked, written, committed, calling, settling, done.

    `seen` is the row as it was read, `new` what waits for the commit, `clock` a time read before
    the lock (only where the model is told to make that mistake), `turns` what is left to do.
    """

    place: str = "idle"
    op: str = ""
    seen: Db | None = None
    new: Db | None = None
    clock: int = 0
    attempt: int = 0
    data: int = 0
    turns: int = 1


class State(NamedTuple):
    """Everything, at one moment. `ledger` is the world's: no crash takes anything back there."""

    processes: tuple[Process, ...]
    db: Db = Db()
    now: int = 0
    lock: int = FREE
    poke: bool = False
    crashes: int = 0
    ledger: tuple[Call, ...] = ()
    acknowledged: frozenset[tuple[str, str, int]] = frozenset()

    def put(self, index: int, process: Process) -> tuple[Process, ...]:
        """The processes with one of them replaced."""
        return (*self.processes[:index], process, *self.processes[index + 1 :])
