"""Hypothesis strategies for JSON that `strict_json` accepts."""

from hypothesis import strategies as st

from hitl.lib.strict_json import SAFE_INTEGER

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
integers = st.integers(-SAFE_INTEGER, SAFE_INTEGER)
floats = st.floats(allow_nan=False, allow_infinity=False).filter(
    lambda x: not (SAFE_INTEGER < abs(x) < 1e21 and x.is_integer())
)
scalars = st.none() | st.booleans() | integers | floats | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
