"""Abstract base models and the field that stores JSON as canonical text."""

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Any

import uuid_utils.compat
from django.db import models

from hitl.lib import canonical

if TYPE_CHECKING:

    class _TextField(models.TextField[Any, Any]):
        """For the type checker: any JSON value goes in and comes out."""

        _pyi_private_set_type: Any
        _pyi_private_get_type: Any
        _pyi_lookup_exact_type: Any

else:
    _TextField = models.TextField


def uuid7() -> uuid.UUID:
    """A time-ordered UUID (RFC 9562, version 7): new rows land at the end of every index."""
    return uuid_utils.compat.uuid7()


def uuid7_floor(moment: dt.datetime) -> uuid.UUID:
    """Smaller than every id made from that millisecond on: finds recent rows by their key alone."""
    milliseconds = int(moment.timestamp() * 1000)
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | 0x2 << 62)


class CanonicalJSONField(_TextField):
    """JSON kept as RFC 8785 text, so that what is stored is byte for byte what was hashed.

    `jsonb` would reorder keys, drop duplicates and rewrite numbers. Not made for querying.
    """

    def from_db_value(self, value: str | None, *_: object) -> Any:
        return None if value is None else canonical.loads(value)

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else canonical.dumps(value).decode()

    def to_python(self, value: Any) -> Any:
        return value

    def value_to_string(self, obj: models.Model) -> str:
        return self.get_prep_value(self.value_from_object(obj)) or ""


class Identified(models.Model):
    """A row known to the outside: UUIDv7 key and the time it was made."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
