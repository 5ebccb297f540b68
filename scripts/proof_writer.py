"""Write events as many workers at once would: out of order, several in a transaction, some in vain.

    python -m scripts.proof_writer --events 30000 --workflows 300 --seed 1

The requests come from the real use case, the events from the log's only writer. Part of the
transactions is old by the time it writes, part is held open afterwards, part is rolled back.
"""

import argparse
import random
import time
from uuid import UUID

import django
from django.db import OperationalError, transaction

TEAM = "proof"
LONGEST_HOLD_SECONDS = 0.2


def main() -> None:
    """Write so many events that stay."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("events", "workflows", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    django.setup()
    dice = random.Random(options.seed)  # noqa: S311  # guards nothing
    ids = _make(options.workflows)
    written = len(ids)
    while written < options.events:
        written += _write(dice, ids)


def _make(number: int) -> list[UUID]:
    from hitl.accounts.models import Agent
    from workflows import services
    from workflows.inputs import NewWorkflow

    agent = Agent.objects.select_related("team").get(team__slug=TEAM)
    return [
        services.create(agent, NewWorkflow("payments.refund", {"amount": turn})).pk
        for turn in range(number)
    ]


def _write(dice: random.Random, ids: list[UUID]) -> int:
    """One transaction; how many of its events stay."""
    from django.db import connection

    from events import services
    from events.types import EventType, Source
    from hitl.lib.actor import SYSTEM

    # Sorted, as everybody locks: two transactions never wait for each other.
    chosen = sorted(dice.sample(ids, dice.choice((1, 1, 2, 3))))
    in_vain = dice.random() < 0.1
    try:
        with transaction.atomic():
            if dice.random() < 0.3:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_current_xact_id()")
                time.sleep(dice.random() * LONGEST_HOLD_SECONDS / 4)
            for workflow_id in chosen:
                services.record(
                    EventType.HUMAN_VIEWED,
                    workflow_id=workflow_id,
                    actor=SYSTEM,
                    source=Source.SYSTEM,
                )
            if dice.random() < 0.02:
                time.sleep(dice.random() * LONGEST_HOLD_SECONDS)
            transaction.set_rollback(in_vain)
    except OperationalError:
        return 0
    return 0 if in_vain else len(chosen)


if __name__ == "__main__":
    main()
