"""docs/threat-cases.md names every case once, and tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "threat-cases.md").read_text()
ROWS = dict(re.findall(r"^\| ([ABDP]-\d\d) \| (.*) \|$", PAGE, re.MULTILINE))
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
EXPECTED = [
    f"{group}-{number:02}"
    for group, last in (("A", 12), ("B", 12), ("D", 10), ("P", 7))
    for number in range(1, last + 1)
]


def test_every_case_stands_there_once() -> None:
    assert re.findall(r"^\| ([ABDP]-\d\d) \|", PAGE, re.MULTILINE) == EXPECTED


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_the_tests_it_names_exist(path: str, name: str) -> None:
    source = (ROOT / path).read_text()
    assert re.search(rf"^ *(?:async )?def {name}\(", source, re.MULTILINE)


@pytest.mark.parametrize("case", EXPECTED)
def test_a_case_names_a_test_or_says_that_there_is_none(case: str) -> None:
    assert "::" in ROWS[case] or "no test" in ROWS[case] or "make proof" in ROWS[case]
