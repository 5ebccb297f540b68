"""The table that lands in the documentation."""

import os
from collections.abc import Sequence

from scripts.crash.matrix import Cell

TEXT = """\
# Crash matrix: {runs:,} interrupted operations, {held}

Written by `make crash`; the code is `scripts/crash/`. Each run plays one operation as in production
(the API through all that stands before its views, a Celery task, beat's scheduler) and interrupts
it at one boundary: before or after one SQL statement or commit{which}. Then the roles
begin anew, a client who was told nothing asks again, the broker delivers again what was not
acknowledged, and sweeps work until all is calm.

*web*, *worker*, *beat*: the process that plays the operation is gone by SIGKILL, before and after
every boundary. *postgres*: PostgreSQL is stopped at once (`immediate`), before and after. *redis
killed*: it is gone from there to the end of the operation. *redis flushed*: it forgets everything.

The checker (`scripts/crash/checker.py`) imports nothing of the project. It reads the tables with
plain SQL, the ledgers of a foreign system, a webhook's receiver and a mail server, and what clients
were told: nothing acknowledged is lost, nothing is executed twice or without its approval, nothing
is decided twice, the log is gapless and its hashes chain, the row is what its last event says,
every message and webhook that counts as sent was received, every step is taken once, and all comes
to rest. Mistakes made on purpose are caught by it (`tests/test_crash_matrix.py`).

| operation | {heads} |
| --- | {dashes} |
{rows}

Each field: runs that held / runs. {seconds:.0f} s on {processors} processors.
"""


def line(cell: Cell) -> str:
    """One field, with what broke."""
    told = "".join(f"\n    {each}" for each in cell.broken)
    return f"{cell.operation} × {cell.target}: {_field(cell)}{told}"


def text(cells: Sequence[Cell], *, stride: int, seconds: float) -> str:
    """The whole page."""
    targets = list(dict.fromkeys(cell.target for cell in cells))
    targets.sort(key=lambda each: each.startswith(("redis", "postgres")))
    names = dict.fromkeys(cell.operation for cell in cells)
    by_place = {(cell.operation, cell.target): cell for cell in cells}
    rows = [
        " | ".join([f"| {name}", *(_field(by_place.get((name, each))) for each in targets)]) + " |"
        for name in names
    ]
    runs, broken = sum(cell.runs for cell in cells), sum(len(cell.broken) for cell in cells)
    return TEXT.format(
        runs=runs,
        which=f" (here at one in {stride} of them)" if stride > 1 else "",
        held=f"{broken} did not hold" if broken else "all held",
        heads=" | ".join(targets),
        dashes=" | ".join("---" for _ in targets),
        rows="\n".join(rows),
        seconds=seconds,
        processors=os.cpu_count(),
    )


def _field(cell: Cell | None) -> str:
    return f"{cell.runs - len(cell.broken)}/{cell.runs}" if cell else ""
