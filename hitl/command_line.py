"""What the command line must do before any setting is read: our options become variables."""

import argparse
import os
from collections.abc import Sequence


def export_options(arguments: Sequence[str]) -> list[str]:
    """Put `--data`, `--host` and `--port` into the environment, where they win over `.env`.

    Settings are read when they are imported, long before a command sees its own options. Returns
    the arguments without `--data`, which Django's own commands do not know.
    """
    folder, address = _parser(), _parser()
    folder.add_argument("--data", dest="HITL_DATA")
    address.add_argument("--host", dest="HOST")
    address.add_argument("--port", dest="PORT", type=int)
    found, rest = folder.parse_known_args(arguments)
    named = vars(found) | vars(address.parse_known_args(rest)[0])
    os.environ.update({name: str(value) for name, value in named.items() if value is not None})
    return rest


def _parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog="manage.py", add_help=False, allow_abbrev=False)
