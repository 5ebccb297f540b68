"""Small calls that must not keep a provider waiting for its acknowledgement.

Best effort on purpose: they tell somebody something or open a form. What must not be lost is a row.
"""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django.db import connection

logger = logging.getLogger(__name__)

_pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="aside")


def soon(call: Callable[[], None]) -> None:
    """Run `call` on another thread; a failure is a line in the log."""
    _pool.submit(_run, call)


def _run(call: Callable[[], None]) -> None:
    try:
        call()
    except Exception:
        logger.warning("a word to a person got lost", exc_info=True)
    finally:
        connection.close()
