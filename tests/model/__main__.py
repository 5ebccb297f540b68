"""Search larger worlds, with more crashes, workers and beats, than the test suite does.

python -m tests.model [--world "at most once"]
"""

import argparse
import os
import sys
import time

import django


def main() -> int:
    """Search and say how many states there are; 1 where a promise is broken."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from tests.model.scenarios import LARGER
    from tests.model.search import search

    parser = argparse.ArgumentParser(prog="model", description=__doc__)
    parser.add_argument("--world", choices=LARGER, action="append", help="only this one")
    failed = False
    for name in parser.parse_args().world or LARGER:
        started = time.monotonic()
        found = search(LARGER[name])
        told = (
            "\n  ".join([f"BREAKS {', '.join(found.broken)}", *found.story])
            if found.broken
            else "holds"
        )
        seconds = time.monotonic() - started
        print(f"{name}: {found.states:,} states in {seconds:.0f} s: {told}", flush=True)
        failed = failed or bool(found.broken)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
