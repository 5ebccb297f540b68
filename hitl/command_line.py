"""What the command line must do before any setting is read: our options become variables."""

import argparse
import os
from collections.abc import Sequence


def export_options(arguments: Sequence[str]) -> None:
    """Put `--data`, `--host` and `--port` into the environment, where they win over `.env`.

    Settings are read when they are imported, long before a command sees its own options.
    """
    parser = argparse.ArgumentParser(prog="manage.py", add_help=False, allow_abbrev=False)
    parser.add_argument("--data", dest="HITL_DATA")
    parser.add_argument("--host", dest="HOST")
    parser.add_argument("--port", dest="PORT", type=int)
    named, _ = parser.parse_known_args(arguments)
    os.environ.update({name: str(v) for name, v in vars(named).items() if v is not None})
