"""The worlds that are searched, and the mistakes that the promises must notice."""

from dataclasses import dataclass, replace

from tests.model.moves import Person, World

ANN = Person("ann", ("approve",))
BOB = Person("bob", ("reject",))
AGENT = Person("agent", ("cancel",))
BOSS = Person("boss", ("look", "roll back"))
AGAIN = Person("bob", ("approve", "reject"), seen=2)

# Who meets whom. Each is searched in full.
WORLDS = {
    "answers race": World((ANN, BOB, AGENT), workers=1),
    "at most once": World((ANN,), crashes=2),
    "idempotent": World((ANN,), workers=2, crashes=1, semantics="idempotent"),
    "tampering": World((ANN,), workers=1, tampers=True),
    "rollback": World((ANN, AGAIN, BOSS), workers=1, crashes=0),
}
# Without crashes, for what makes many more states.
SMALL = {
    "answers race": World((ANN, BOB), workers=1, crashes=0),
    "at most once": World((ANN,), crashes=0),
    "rollback": World((ANN, BOSS), workers=1, crashes=0),
}
# For `python -m tests.model`: minutes instead of seconds.
LARGER = {
    "answers race": replace(WORLDS["answers race"], crashes=3, beats=2),
    "at most once": replace(WORLDS["at most once"], crashes=4, beats=2, workers=3),
    "idempotent": replace(WORLDS["idempotent"], crashes=2),
    "tampering": replace(WORLDS["tampering"], crashes=3, workers=2),
    "rollback": replace(WORLDS["rollback"], crashes=1),
}


@dataclass(frozen=True)
class Mistake:
    """Layers that are taken away, in which world, and which promises then break first."""

    says: str
    world: str
    off: str
    breaks: str

    @property
    def mutated(self) -> World:
        """The world without these layers."""
        return replace(WORLDS[self.world], off=frozenset(self.off.split(", ")))


MISTAKES = (
    Mistake("nothing asks what state it is in", "answers race", "table, constraints", "I1 I4"),
    Mistake("nothing locks or compares", "answers race", "lock, version, constraints", "I1 I4"),
    Mistake(
        "numbers are read before the lock", "answers race",
        "lock, version, constraints, number", "I1 I2 I4",
    ),
    Mistake("two claims", "at most once", "lock of claim, version, constraints", "I9"),
    Mistake("the clock is read before the lock", "answers race", "clock", "I5"),
    Mistake("the sweep comes early", "answers race", "early sweep", "I6"),
    Mistake("the lease is forgotten", "at most once", "lease", "L"),
    Mistake("an attempt is given up early", "at most once", "early lapse", "I9"),
    Mistake("no sweep for lost pokes", "at most once", "sweeps", "L"),
    Mistake("what may have happened is tried again", "at most once", "at most once", "I8"),
    Mistake("a late worker still writes", "at most once", "fence", "I9 I10"),
    Mistake("carried out before the claim is committed", "at most once", "durable", "I7"),
    Mistake("answered before the commit", "answers race", "answer last", "I17"),
    Mistake("row and event apart", "answers race", "one transaction", "I3"),
    Mistake("an answer of an earlier round counts", "rollback", "rounds", "I5"),
    Mistake("the digest is not compared", "tampering", "digest", "I7"),
)  # fmt: skip

# Each of these alone is held by the others: protection in depth.
BELTS = (
    ("answers race", "lock"),
    ("answers race", "version"),
    ("answers race", "constraints"),
    ("at most once", "lock"),
    ("at most once", "version"),
    ("at most once", "constraints"),
    ("rollback", "constraints"),
)
