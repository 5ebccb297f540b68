"""Kill everything at every statement of every operation, and judge what is left.

    python -m scripts.crash [--only decide] [--stride 7] [--without postgres] [--report FILE]

Starts a PostgreSQL, a Redis and a world outside of its own. Every run interrupts one operation at
one boundary; then the roles begin anew, clients who were told nothing ask again, and sweeps work
until all is calm. Exit code 1 where a promise was broken.
"""

import argparse
import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import django

from scripts import services
from scripts.crash import stores


def main(change: Callable[[], None] = lambda: None) -> int:
    """Play it; 0 when everything held. `change` may put other operations in place."""
    options = _parser().parse_args()
    # Turned into an exception, a polite kill still stops the servers.
    signal.signal(signal.SIGTERM, services.stop_politely)
    with (
        stores.postgres() as (postgres, url),
        stores.redis() as (redis, redis_url),
        tempfile.TemporaryDirectory(prefix="hitl-crash-ledgers-") as name,
        stores.standins(Path(name)) as (web, mail),
    ):
        _prepare(url, redis_url, web, mail)
        from scripts.crash import matrix, operations, report
        from scripts.crash.checker import Ledgers

        operations.set_up(f"http://127.0.0.1:{web}")
        change()
        wanted, left_out = options.only or [""], tuple(options.without)
        world = matrix.World(postgres, redis, Ledgers(Path(name)), url)
        started, cells = time.monotonic(), []

        def note(cell: matrix.Cell) -> None:
            """After each field, so that what was seen is there even if this is stopped."""
            cells.append(cell)
            print(report.line(cell), flush=True)
            if options.report:
                seconds = time.monotonic() - started
                page = report.text(cells, stride=options.stride, seconds=seconds)
                options.report.write_text(page)

        matrix.run(
            world,
            [op for op in operations.OPERATIONS if any(each in op.name for each in wanted)],
            [blow for blow in matrix.BLOWS if not blow.target.startswith(left_out)],
            stride=options.stride,
            note=note,
        )
        text = report.text(cells, stride=options.stride, seconds=time.monotonic() - started)
    print(text)
    return int(any(cell.broken for cell in cells) or not any(cell.runs for cell in cells))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="crash", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", help="operations whose name contains this")
    parser.add_argument(
        "--without", action="append", default=[], help="do not hit role, postgres, redis"
    )
    parser.add_argument("--stride", type=int, default=1, help="only every so many boundaries")
    parser.add_argument("--report", type=Path, help="where to write the table")
    return parser


def _prepare(url: str, redis_url: str, web: int, mail: int) -> None:
    """Point this process at the stores and the world outside; make the tables."""
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "scripts.crash.settings",
        "DATABASE_URL": url,
        "REDIS_URL": redis_url,
        "PUBLIC_URL": "https://approvals.example.com",
        "ALLOWED_HOSTS": "approvals.example.com,127.0.0.1",
        "SECRET_KEY": "secret-key-of-the-proof-0123456789abcdef-0123456789",
        "JWT_SECRET": "jwt-secret-of-the-proof-0123456789abcdef",
        "SIGNING_KEYS": "hitl_sk_c2lnbmluZy1rZXktb2YtdGhlLXByb29mLTAxMjM0NTY",
        "EMAIL_URL": f"smtp://127.0.0.1:{mail}",
        "DEFAULT_FROM_EMAIL": "hitl <approvals@example.com>",
        "OUTBOUND_ALLOW": f"127.0.0.1:{web}",
        "OUTBOUND_ALLOW_HTTP": "on",
        "SSL_REDIRECT": "off",
    }
    django.setup()
    logging.disable(logging.CRITICAL)  # what breaks is meant to
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


if __name__ == "__main__":
    sys.exit(main())
