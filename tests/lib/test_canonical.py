"""Tests of hitl/lib/canonical.py."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from hitl.lib import canonical
from tests.lib import strategies


@pytest.mark.parametrize("value", [float("nan"), 2**53, "\ud800", {1: 2}, {"a": object()}])
def test_values_without_a_canonical_form_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        canonical.dumps(value)


@given(strategies.values)
def test_canonical_form_is_a_fixed_point(value: Any) -> None:
    once = canonical.dumps(value)
    assert canonical.dumps(canonical.loads(once)) == once
    assert canonical.loads(once) == value


# Also what Python's own JSON would write in another way, or would accept in silence.
odd = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**54), 2**54)
    | st.floats()
    | st.text()
    | st.characters(min_codepoint=0xD700),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers() | st.booleans() | st.none(), inner)
    ),
    max_leaves=8,
)


@given(strategies.values | odd)
def test_it_is_what_the_reference_writes_and_refuses(value: Any) -> None:
    assert _written(canonical.dumps, value) == _written(rfc8785.dumps, value)


def _written(dumps: Callable[[Any], bytes], value: Any) -> bytes | None:
    try:
        return dumps(value)
    except ValueError:
        return None


@given(strategies.values)
def test_canonical_form_does_not_depend_on_key_order(value: Any) -> None:
    shuffled = json.loads(json.dumps(value, sort_keys=True))
    assert canonical.dumps(shuffled) == canonical.dumps(value)


def test_the_example_of_the_rfc_comes_out_to_the_byte() -> None:
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }
    assert canonical.dumps(value) == (
        b'{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        b'"string":"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_keys_are_ordered_by_their_utf16_units() -> None:
    assert canonical.dumps({"\ufb33": 1, "\U0001f600": 2, "1": 3}).decode() == (
        '{"1":3,"\U0001f600":2,"\ufb33":1}'
    )


def test_fingerprint_is_the_sha256_of_the_canonical_bytes() -> None:
    digest = hashlib.sha256(b'{"a":1,"b":10}').hexdigest()
    assert canonical.fingerprint({"b": 10.0, "a": 1}) == f"sha256:{digest}"
    assert canonical.fingerprint_bytes(b'{"a":1,"b":10}') == f"sha256:{digest}"


def test_the_text_ten_and_the_number_ten_have_different_fingerprints() -> None:
    assert canonical.fingerprint({"a": "10"}) != canonical.fingerprint({"a": 10})
