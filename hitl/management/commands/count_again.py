"""Let the statistics of every day be counted anew."""

from typing import Any

from hitl.management.base import HitlCommand
from workflows.statistics import sweeping


class Command(HitlCommand):
    """`manage.py count_again`."""

    help = "Let the statistics of every day be counted anew, by the sweeps of the next minutes."

    def handle(self, *args: Any, **options: Any) -> None:
        days = sweeping.mark_all()
        self.say(f"{days} day{'' if days == 1 else 's'} will be counted anew within minutes.")
