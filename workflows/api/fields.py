"""Serializer fields that take JSON at its word: no text for numbers, no numbers for text.

Django REST framework's own fields convert kindly ("5" is 5, 5 is "5"); a request that a person
approves must be exactly what the agent sent, so these refuse instead.
"""

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

from django.core.validators import RegexValidator
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from hitl.lib import canonical

# RFC 3339, section 5.6: what JSON Schema calls date-time. A zone is required.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
UNKNOWN = "There is no such field. Leave it out."


class Text(serializers.CharField):
    """A JSON string; blanks around it are dropped, and where text is wanted more must be left."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if not self.allow_blank:
            self.validators.append(RegexValidator(r"\S", "Send more than blanks."))

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Email(serializers.EmailField):
    """A JSON string with one e-mail address."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Id(serializers.UUIDField):
    """A JSON string with one UUID, written with hyphens: numbers are none, nor are other forms."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        found = super().to_internal_value(data)
        if str(found) != data.lower():
            self.fail("invalid", value=data)
        return found


class Pattern(serializers.RegexField):
    """A JSON string of one form, without blanks around it."""

    def __init__(self, regex: str, **options: Any) -> None:
        super().__init__(regex, trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Whole(serializers.IntegerField):
    """A JSON number without a fraction; 60.0 is 60, as in JSON Schema."""

    def to_internal_value(self, data: Any) -> int:
        is_number = isinstance(data, int | float) and not isinstance(data, bool)
        if not is_number or data != int(data):
            self.fail("invalid")
        return int(data)


class Choice(serializers.ChoiceField):
    """A JSON string out of a closed list, exactly as written there."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or data not in self.choices:
            options = ", ".join(str(choice) for choice in self.choices)
            raise serializers.ValidationError(f"Choose one of: {options}.", code="invalid_choice")
        return data


class Moment(serializers.DateTimeField):
    """An instant as RFC 3339 writes it, with a zone; naive times are refused."""

    message = "Send a time with a zone, like 2026-11-23T16:52:00Z."

    def to_internal_value(self, value: Any) -> dt.datetime:
        if not isinstance(value, str) or not _MOMENT.fullmatch(value):
            raise serializers.ValidationError(self.message)
        try:
            return dt.datetime.fromisoformat(value.upper()).astimezone(dt.UTC)
        except (ValueError, OverflowError):
            raise serializers.ValidationError(self.message) from None


@extend_schema_field({"type": "object", "additionalProperties": True})
class Object(serializers.JSONField):
    """A JSON object, kept as it is. `max_bytes` bounds its canonical form."""

    def __init__(self, *, max_bytes: int | None = None, **options: Any) -> None:
        self.max_bytes = max_bytes
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise serializers.ValidationError("Send a JSON object.")
        if self.max_bytes is not None and len(canonical.dumps(data)) > self.max_bytes:
            raise serializers.ValidationError(
                f"Send at most {self.max_bytes} bytes here.", code="max_length"
            )
        return data

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field({})
class Anything(serializers.JSONField):
    """Any JSON value, null included, kept as it is."""

    def validate_empty_values(self, data: Any) -> tuple[bool, Any]:
        return (True, None) if data is None else super().validate_empty_values(data)

    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class Strict(serializers.Serializer[Any]):
    """Refuses fields it does not know, and names every one together with what else is wrong.

    Of each pair in ALTERNATIVES only one may be sent.
    """

    ALTERNATIVES: tuple[tuple[str, str], ...] = ()

    def to_internal_value(self, data: Any) -> Any:
        unknown = _unknown(data, self.fields)
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if not isinstance(error.detail, dict):
                raise
            raise serializers.ValidationError({**error.detail, **unknown}) from None
        if unknown:
            raise serializers.ValidationError(unknown)
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        for one, other in self.ALTERNATIVES:
            if one in attrs and other in attrs:
                message = f"Send either {one} or {other}, not both."
                raise serializers.ValidationError({other: [message]}, code="exclusive")
        return attrs


def _unknown(data: Any, known: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        return {}
    return {key: [ErrorDetail(UNKNOWN, code="unknown")] for key in data if key not in known}
