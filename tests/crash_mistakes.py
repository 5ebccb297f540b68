"""Operations with a mistake each: the checker of the crash matrix must notice every one.

    python -m tests.crash_mistakes --only "without a claim"

Run by `tests/test_crash_matrix.py`; the matrix is the real one, as is the checker.
"""

import contextlib
import sys
from dataclasses import replace

from scripts.crash.__main__ import main


def mistakes() -> None:
    """Put the operations in place of the real ones. Imported late: settings come first."""
    from django.db import DatabaseError, transaction
    from django.db.models import F

    from events import services as events
    from events.types import EventType, Source
    from hitl.lib.actor import SYSTEM
    from scripts.crash import operations
    from scripts.crash.operations import Facts
    from workflows import executions, services
    from workflows.actions import get_action
    from workflows.models import ExecutionAttempt, Status, Verdict, Workflow

    def execute_without_a_claim(facts: Facts) -> None:
        """Acts first and writes it down afterwards."""
        workflow = Workflow.objects.select_related("team").get(pk=facts["workflow"])
        if workflow.status == Status.APPROVED:
            get_action("http").run(executions._job(workflow, ExecutionAttempt(number=1)))
            claimed = executions.claim(workflow.pk)
            assert claimed is not None
            executions.settle_success(claimed[0], None)

    def decide_whatever_happens(facts: Facts) -> Facts:
        """Says that it is done although the database has said nothing."""
        told = {"did": "reject", "workflow": facts["workflow"], "status": "REJECTED"}
        with contextlib.suppress(DatabaseError):
            services.decide(
                facts["workflow"], user=operations._user("ann"), verdict=Verdict.REJECTED,
                fingerprint=facts["fingerprint"], source=Source.DASHBOARD,
            )  # fmt: skip
        return told

    def write_row_and_event_apart(facts: Facts) -> None:
        """Two transactions where there must be one."""
        with transaction.atomic():
            events.record(
                EventType.HUMAN_VIEWED, workflow_id=facts["workflow"], actor=SYSTEM,
                source=Source.SYSTEM,
            )  # fmt: skip
        Workflow.objects.filter(pk=facts["workflow"]).update(event_seq=F("event_seq") + 1)

    known = {each.name: each for each in operations.OPERATIONS}
    execute = known["claim, execute, settle: at most once"]
    operations.OPERATIONS = (
        replace(execute, name="execute without a claim", act=execute_without_a_claim),
        replace(
            known["decide: reject"], name="decide whatever happens", act=decide_whatever_happens
        ),
        replace(
            known["decide: reject"],
            ends=("PENDING",),
            name="row and event apart",
            act=write_row_and_event_apart,
        ),
    )


if __name__ == "__main__":
    sys.exit(main(mistakes))
