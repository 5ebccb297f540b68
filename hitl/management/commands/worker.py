"""The role worker: deliver messages, carry out actions, sweep what is due."""

from typing import Any

from django.core.management.base import CommandParser

from hitl.management.roles import CeleryCommand


class Command(CeleryCommand):
    """`manage.py worker [--concurrency N]`. As many as you like may run."""

    help = "Run the tasks: deliveries, executions and sweeps."
    role = "worker"

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--concurrency", type=int, metavar="N", help="default: one a processor")

    def options(self, options: dict[str, Any]) -> list[str]:
        number = options["concurrency"]
        return [f"--concurrency={number}"] if number else []
