"""The role worker: deliver messages, carry out actions, sweep what is due."""

import os
from typing import Any

from django.conf import settings
from django.core.management import CommandError
from django.core.management.base import CommandParser

from hitl.management.roles import CeleryCommand


class Command(CeleryCommand):
    """`manage.py worker [--queues deliveries,sweeps] [--concurrency N] [--name NAME]`."""

    help = "Run the tasks: deliveries, webhooks, actions and sweeps. As many as you like may run."
    role = "worker"

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--concurrency", type=int, metavar="N", help="default: one a processor")
        parser.add_argument(
            "--queues",
            default=",".join(settings.QUEUES),
            metavar="NAMES",
            help="whose tasks it takes, comma separated; default: %(default)s",
        )
        parser.add_argument("--name", help="what it goes by on this machine; default: its number")

    def options(self, options: dict[str, Any]) -> list[str]:
        queues, number = _queues(options["queues"]), options["concurrency"]
        # Several on one machine need names of their own, else one answers for another.
        name = options["name"] or f"worker{os.getpid()}"
        told = [f"--hostname={name}@%h", f"--queues={','.join(queues)}"]
        return [*told, f"--concurrency={number}"] if number else told


def _queues(names: str) -> list[str]:
    queues = [name.strip() for name in names.split(",") if name.strip()]
    known = ", ".join(settings.QUEUES)
    if not queues:
        raise CommandError(f"--queues names none; there are {known}.")
    for name in queues:
        if name not in settings.QUEUES:
            raise CommandError(f"There is no queue {name!r}; there are {known}.")
    return list(dict.fromkeys(queues))
