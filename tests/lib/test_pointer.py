"""Tests of hitl/lib/pointer.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitl.lib import pointer


@given(st.lists(st.text()))
def test_what_is_joined_splits_into_the_same_keys(keys: list[str]) -> None:
    assert pointer.split(pointer.join("", *keys)) == keys


def test_slash_and_tilde_are_escaped_as_the_rfc_says() -> None:
    assert pointer.join("/a", "b/c", "m~n", 0) == "/a/b~1c/m~0n/0"


def test_a_pointer_without_its_slash_is_refused() -> None:
    with pytest.raises(ValueError, match="slash"):
        pointer.split("a/b")


def test_hostile_keys_become_printable_and_bounded() -> None:
    assert pointer.printable("a\ud800\0") == "a\\ud800\\u0000"
    assert len(pointer.printable("x" * 10_000)) == 201
