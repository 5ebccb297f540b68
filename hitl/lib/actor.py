"""Who did something: an agent, a person or the system itself, as it is written into the log."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Actor:
    """`kind` is agent, user or system; `id` names the row (empty for the system)."""

    kind: str
    id: str
    name: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


SYSTEM = Actor(kind="system", id="", name="hitl")
