"""Cursors survive the trip through a URL; anything else is no cursor."""

import datetime as dt
from uuid import UUID

import pytest

from dashboard import cursors
from dashboard.cursors import Cursor

ID = UUID("0192aaaa-0000-7000-8000-000000000001")


def test_a_cursor_comes_back_to_the_microsecond() -> None:
    moment = dt.datetime(2026, 11, 23, 17, 7, 34, 123457, tzinfo=dt.UTC)
    cursor = Cursor(moment, 2, ID)
    assert cursors.load(str(cursor)) == cursor


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "1-2",
        "1-2-3-4",
        "a-1-" + ID.hex,
        "1-1-xyz",
        "9" * 40 + "-0-" + ID.hex,
        "\0",
        "1-1-",
    ],
)
def test_what_we_did_not_write_is_no_cursor(text: str) -> None:
    assert cursors.load(text) is None
