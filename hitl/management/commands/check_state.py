"""Compare every request with its log: the current row is what its events come to."""

from typing import Any
from uuid import UUID

from django.core.management import CommandError
from django.core.management.base import CommandParser

from hitl.management.base import HitlCommand
from workflows import state_check
from workflows.models import Workflow


class Command(HitlCommand):
    """`manage.py check_state [--workflow ID]`; exit code 1 where anything differs."""

    help = "Compare every request with the replay of its events; name each difference."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--workflow", type=UUID, metavar="ID", help="look at this one only")

    def handle(self, *args: Any, workflow: UUID | None, **options: Any) -> None:
        count = wrong = 0
        for looked_at, faults in self._batches(workflow):
            count += looked_at
            wrong += len({fault.workflow_id for fault in faults})
            for fault in faults:
                self.stdout.write(f"{fault.workflow_id} {fault.field}: {fault.says}")
        if wrong:
            raise CommandError(f"{wrong} of {count} requests are not as their log says.")
        self.say(f"{count} requests are as their logs say.")

    def _batches(self, workflow: UUID | None) -> Any:
        if workflow is None:
            return state_check.check_all()
        if not Workflow.objects.filter(pk=workflow).exists():
            raise CommandError(f"There is no request {workflow}.")
        return [(1, state_check.check([workflow]))]
