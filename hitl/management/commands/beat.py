"""The role beat: ring for the sweeps. Run exactly one."""

from typing import Any

from hitl.management.roles import CeleryCommand


class Command(CeleryCommand):
    """`manage.py beat`."""

    help = "Ring for the sweeps on their schedule. Run exactly one."
    role = "beat"

    def options(self, options: dict[str, Any]) -> list[str]:
        return ["--pidfile="]  # after a restart in a container the number is somebody else's
