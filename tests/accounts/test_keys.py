"""The format of API keys."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitl.accounts import keys

_KEY = keys.generate()


def test_keys_have_prefix_and_checksum() -> None:
    assert re.fullmatch(r"hitl_agt_[0-9A-Za-z]{36}", _KEY)
    assert keys.is_well_formed(_KEY)
    assert keys.generate() != _KEY


@pytest.mark.parametrize("at", range(len(keys.PREFIX), len(_KEY)))
def test_every_single_typo_is_noticed(at: int) -> None:
    for letter in string.ascii_letters + string.digits:
        typo = _KEY[:at] + letter + _KEY[at + 1 :]
        assert keys.is_well_formed(typo) == (typo == _KEY)


@given(st.text())
def test_other_text_is_no_key(text: str) -> None:
    assert not keys.is_well_formed(text)
    assert not keys.is_well_formed(keys.PREFIX + text)


@pytest.mark.parametrize(
    "text", ["", keys.PREFIX, _KEY[:-1], _KEY + "0", _KEY + "\n", " " + _KEY, _KEY.upper(),
             keys.PREFIX + "é" * 36, _KEY.replace("hitl", "HITL")],
    ids=["empty", "prefix", "short", "long", "newline", "space", "upper", "accents", "shouting"],
)  # fmt: skip
def test_neighbours_of_a_key_are_none(text: str) -> None:
    assert not keys.is_well_formed(text)


def test_what_is_stored_and_shown_does_not_give_the_key_away() -> None:
    assert len(keys.digest(_KEY)) == 64
    assert _KEY not in keys.digest(_KEY)
    assert keys.visible_prefix(_KEY) == _KEY[:17]
