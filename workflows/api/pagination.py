"""Cursor pages: by the values of the last row, so that no page is counted, skipped or repeated.

A cursor is opaque to clients and harmless when forged: it only says where to go on.
"""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, Q, QuerySet

from hitl.lib.errors import FieldError, InvalidInput

Row = TypeVar("Row", bound=Model)
LONGEST_CURSOR = 500


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows, and the cursor for the ones after them (None at the end)."""

    items: list[Row]
    next_cursor: str | None


@dataclass(frozen=True)
class Order:
    """A total order by one column and, among equals, by id."""

    column: str
    descending: bool
    read: Callable[[str], Any]  # a cursor's text back into a value of the column

    @property
    def fields(self) -> tuple[str, str]:
        sign = "-" if self.descending else ""
        return f"{sign}{self.column}", f"{sign}pk"

    def after(self, value: Any, row_id: Any) -> Q:
        """Rows behind this one. The first condition alone lets the index find the place."""
        beyond = "lt" if self.descending else "gt"
        return Q(**{f"{self.column}__{beyond}e": value}) & (
            Q(**{f"{self.column}__{beyond}": value}) | Q(**{f"pk__{beyond}": row_id})
        )


def page(
    rows: QuerySet[Row], order: Order, *, limit: int, cursor: str, read_id: Callable[[str], Any]
) -> Page[Row]:
    """The next `limit` rows after `cursor`. Raises InvalidInput for a cursor that is none."""
    if cursor:
        rows = rows.filter(order.after(*_decode(cursor, order.read, read_id)))
    found = list(rows.order_by(*order.fields)[: limit + 1])
    more = len(found) > limit
    items = found[:limit]
    return Page(items, _encode(items, order) if more else None)


def _encode(items: Sequence[Model], order: Order) -> str:
    value = getattr(items[-1], order.column)
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    raw = json.dumps([text, str(items[-1].pk)]).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(
    cursor: str, read: Callable[[str], Any], read_id: Callable[[str], Any]
) -> tuple[Any, Any]:
    try:
        if len(cursor) > LONGEST_CURSOR:
            raise ValueError
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        value, row_id = json.loads(raw)
        return read(value), read_id(row_id)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        message = "This is no cursor of this list. Take it from `nextCursor` as it is."
        raise InvalidInput(message, [FieldError("?cursor", message)]) from None
