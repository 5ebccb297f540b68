"""What a browser would post of a page's form as it stands: every field with its value."""

from html.parser import HTMLParser
from typing import Any


class FilledForm(HTMLParser):
    """The successful controls of the form with an id; `fields` maps names to lists of values."""

    def __init__(self, page: str, form_id: str) -> None:
        super().__init__()
        self.form_id = form_id
        self.is_inside = False
        self.fields: dict[str, list[str]] = {}
        self.options: dict[str, list[str]] = {}
        self._select = ""
        self._first: str | None = None
        self._area = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.is_inside = given.get("id") == self.form_id
        if not self.is_inside:
            return
        if tag == "input":
            self._input(given)
        elif tag == "textarea":
            self._area = given["name"]
            self.fields.setdefault(self._area, []).append("")
        elif tag == "select":
            self._select, self._first = given["name"], None
        elif tag == "option" and self._select:
            self.options.setdefault(self._select, []).append(given["value"])
            if self._first is None:
                self._first = given["value"]
            if "selected" in given:
                self.fields.setdefault(self._select, []).append(given["value"])

    def _input(self, given: dict[str, str]) -> None:
        if given.get("type") in ("checkbox", "radio") and "checked" not in given:
            return
        self.fields.setdefault(given["name"], []).append(given.get("value", "on"))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.is_inside = False
        if not self.is_inside:
            return
        if tag == "select":
            if self._select not in self.fields and self._first is not None:
                self.fields[self._select] = [self._first]
            self._select = ""
        elif tag == "textarea":
            self._area = ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.fields[self._area][-1] += data

    def with_(self, **changes: Any) -> dict[str, list[str]]:
        """The fields with some changed; dots are written as two underscores."""
        named = {name.replace("__", "."): value for name, value in changes.items()}
        lists = {name: v if isinstance(v, list) else [v] for name, v in named.items()}
        return {**self.fields, **lists}
