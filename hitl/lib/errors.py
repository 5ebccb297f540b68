"""The base of our errors: a stable `code`, an HTTP status and a sentence for a person.

Surfaces (API, dashboard, admin, channels) translate these; nothing below a surface knows HTTP.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class FieldError:
    """One thing wrong with the input: where (RFC 6901 pointer), what, and what to do about it."""

    pointer: str
    message: str
    code: str = "invalid"


class HitlError(Exception):
    """Something the caller must be told. `str(error)` is a sentence fit for a person."""

    code = "error"
    status = 400
    title = "The request failed"
    retry_after: float | None = None  # seconds after which it may go better, where we know

    def __init__(self, detail: str = "", errors: Sequence[FieldError] = ()) -> None:
        self.detail = detail or self.title
        self.errors = list(errors)
        super().__init__(self.detail)


class InvalidInput(HitlError):
    """The input is wrong; `errors` says where and how to mend it."""

    code = "validation"
    status = 400
    title = "The input is not valid"


class Unauthenticated(HitlError):
    """No credentials, or credentials we do not accept."""

    code = "unauthenticated"
    status = 401
    title = "Credentials are missing or not accepted"


class Forbidden(HitlError):
    """We know the caller; the caller may not do this (never used for "not now")."""

    code = "forbidden"
    status = 403
    title = "You may not do this"


class NotFound(HitlError):
    """Absent, or in another team: the two look alike on purpose."""

    code = "not-found"
    status = 404
    title = "There is no such thing"


class Conflict(HitlError):
    """Allowed to you, but not in this state ("not now")."""

    code = "conflict"
    status = 409
    title = "The state does not allow this"
