"""Reading data that people write: every fault is collected with its place and a remedy."""

import difflib
from collections.abc import Collection
from typing import Any

from hitl.lib import pointer
from hitl.lib.errors import FieldError, InvalidInput

MAX_ERRORS = 20
NAME_LENGTH = 120


class Checks:
    """Collects what is wrong with one document; its methods give back what can be used."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []

    def fault(self, place: str, message: str, code: str = "invalid") -> None:
        """Note a fault; those beyond MAX_ERRORS would only be noise."""
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(FieldError(place, message, code))

    def stop(self, what: str) -> None:
        """Raise InvalidInput if anything was wrong."""
        if self.errors:
            raise InvalidInput(f"The {what} cannot be used: {self.errors[0].message}", self.errors)

    def object(self, value: Any, place: str, keys: Collection[str]) -> dict[str, Any]:
        """An object with no other keys than these."""
        if not isinstance(value, dict):
            self.fault(place, f"Write an object with {_listed(keys)}.")
            return {}
        for key in value:
            if key not in keys:
                at = pointer.join(place, pointer.printable(str(key)))
                self.fault(at, f"{_shown(key)} is not known here.{near(key, keys)}")
        return value

    def list(self, value: Any, place: str, most: int) -> list[Any]:
        """A list of at most so many parts."""
        if not isinstance(value, list):
            self.fault(place, "Write a list.")
            return []
        if len(value) > most:
            self.fault(place, f"At most {most} are possible here.")
        return value[:most]

    def text(self, value: Any, place: str, most: int = NAME_LENGTH) -> str:
        """A text that is not blank and can be seen."""
        if not isinstance(value, str) or not value.strip():
            self.fault(place, "Write a text.")
        elif len(value) > most:
            self.fault(place, f"At most {most} characters are possible here.")
        elif not value.isprintable():
            self.fault(place, "The text has characters that cannot be seen. Remove them.")
        return str(value)

    def number(self, value: Any, place: str, least: int, most: int, unit: str = "") -> int:
        """A whole number within bounds."""
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        self.fault(place, f"Write a whole number from {least} to {most}{unit and ' ' + unit}.")
        return least

    def truth(self, value: Any, place: str) -> bool:
        """True or false."""
        if not isinstance(value, bool):
            self.fault(place, "Write true or false.")
        return value is True

    def choice(self, value: Any, place: str, options: Collection[str]) -> str:
        """One of the options."""
        if not isinstance(value, str) or value not in options:
            self.fault(place, f"Write {_listed(options, 'or')}.{near(value, options)}")
        return str(value)

    def choices(self, value: Any, place: str, options: Collection[str] | None, most: int) -> Any:
        """Different texts, each one of the options where there are any."""
        given = self.list(value, place, most)
        for number, item in enumerate(given):
            at = pointer.join(place, number)
            if options is None:
                self.text(item, at, 64)
            else:
                self.choice(item, at, options)
            if item in given[:number]:
                self.fault(at, "This is there twice.")
        return given


def near(value: Any, options: Collection[str]) -> str:
    """A remark about the option that was probably meant, or what there is."""
    found = difflib.get_close_matches(str(value)[:64], options, n=1)
    return f" Did you mean {found[0]}?" if found else f" Known are {_listed(options)}."


def _listed(options: Collection[str], word: str = "and") -> str:
    names = list(options)
    return f" {word} ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _shown(key: Any) -> str:
    return f"{pointer.printable(str(key))!r}"
