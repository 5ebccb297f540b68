"""What the client takes for JSON is what the server takes: both refuse the same."""

from typing import Any

import pytest
from hitl_client import NotJson, json_values
from hypothesis import given
from hypothesis import strategies as st

from hitl.lib import strict_json
from hitl.lib.errors import InvalidInput
from tests.clients.imitation import canonical

NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([2**53 - 1, 2**53, 1e20, 1e21]))
TEXTS = st.text(st.characters(exclude_categories=()), max_size=5)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_what_the_client_takes_the_server_takes(value: Any) -> None:
    try:
        raw = json_values.dumps({"data": value})
    except NotJson:
        with pytest.raises(InvalidInput):
            strict_json.check(value)
    else:
        assert strict_json.loads(raw) == {"data": value}


@pytest.mark.parametrize("depth", [31, 32, 33])
def test_both_count_depth_alike(depth: int) -> None:
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    try:
        json_values.check(value)
    except NotJson:
        with pytest.raises(InvalidInput):
            strict_json.check(value)
    else:
        strict_json.check(value)


def test_what_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(NotJson, match="Nested deeper"):
        json_values.check(endless)


def test_the_imitation_hashes_as_the_server_does() -> None:
    assert canonical({"b": 1, "a": "x"}) == b'{"a":"x","b":1}'
