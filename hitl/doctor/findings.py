"""One thing that was looked at, and what came of it."""

from dataclasses import dataclass

# Only a failure makes the whole examination fail.
OK, OFF, WARN, FAIL = "ok", "off", "warn", "fail"


@dataclass(frozen=True)
class Finding:
    """What, why it matters, what to do about it: the latter two where there is something to do."""

    topic: str
    level: str
    says: str
    why: str = ""
    remedy: str = ""
