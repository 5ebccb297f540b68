"""Tokens of personal links reach no line of the log."""

import logging
import sys

import pytest

from hitl.lib.logs import Line

TOKEN = "canary-9b1deb4d3b7d4bad9bdd2b0d7b3dcb6d_AbC"


def line(message: str, *args: object, error: BaseException | None = None) -> str:
    info = (type(error), error, None) if error else None
    record = logging.LogRecord("test", logging.ERROR, __file__, 1, message, args, info)
    return Line("%(levelname)s %(message)s").format(record)


@pytest.mark.parametrize(
    "path", [f"/l/{TOKEN}/", f"/l/{TOKEN}", f"/l/{TOKEN}?choice=approved", f'"/l/{TOKEN}"']
)
def test_token_is_left_out(path: str) -> None:
    said = line("Not Found: %s", path)
    assert said.startswith("ERROR Not Found:")
    assert "/l/…" in said
    assert TOKEN not in said


def test_token_is_left_out_of_tracebacks() -> None:
    try:
        raise ValueError(f"cannot open http://testserver/l/{TOKEN}/?choice=rejected")
    except ValueError:
        record = logging.LogRecord("t", 40, __file__, 1, "broke", (), sys.exc_info())
    said = Line("%(message)s").format(record)
    assert "Traceback" in said
    assert TOKEN not in said


def test_other_paths_are_left_alone() -> None:
    assert line("GET /login/ /workflows/l/ok /static/css/l.css").endswith(
        "/login/ /workflows/l/… /static/css/l.css"
    )


def test_token_that_confirms_an_address_is_left_out() -> None:
    said = line("Forbidden: /me/confirm/%s/", TOKEN)
    assert "/me/confirm/…/" in said
    assert TOKEN not in said
