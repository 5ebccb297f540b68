"""How a sweep walks over what is due: one bad row must not keep the others waiting."""

import logging
from collections.abc import Callable, Iterable
from uuid import UUID

logger = logging.getLogger(__name__)


def each(ids: Iterable[UUID], act: Callable[[UUID], object]) -> int:
    """Call `act` for every id; failures are logged with the id. Returns how many went well."""
    done = 0
    for row_id in ids:
        try:
            act(row_id)
        except Exception:
            logger.exception("sweep failed for one row", extra={"row": str(row_id)})
        else:
            done += 1
    return done
