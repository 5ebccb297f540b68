"""Every leaf proves that it is in the tree, and nothing else can."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.proof import tree
from events.proof.bundle import verify_bundle

leaves = st.lists(st.text(max_size=5).map(str.encode), min_size=1, max_size=40)


@given(leaves)
def test_each_leaf_leads_to_the_root(rows: list[bytes]) -> None:
    root = tree.root(rows)
    for place, path in tree.paths(rows, range(len(rows))).items():
        assert tree.root_from(rows[place], path) == root
        assert tree.root_from(rows[place] + b"x", path) != root


@given(leaves)
def test_the_published_verifier_has_the_same_tree(rows: list[bytes]) -> None:
    texts = [row.decode() for row in rows]
    assert verify_bundle.root_of(texts) == tree.root(rows)
    path = tree.paths(rows, [0])[0]
    assert verify_bundle.root_from(texts[0], path) == tree.root(rows)


@given(leaves, st.data())
def test_another_order_has_another_root(rows: list[bytes], data: st.DataObject) -> None:
    other = data.draw(st.permutations(rows))
    assert (tree.root(other) == tree.root(rows)) == (other == rows)


@pytest.mark.parametrize(
    ("count", "root"),
    [
        (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ],
)
def test_it_is_the_tree_of_the_published_examples(count: int, root: str) -> None:
    """The inputs with which implementations of Certificate Transparency compare themselves."""
    texts = "00 10 2021 3031 40414243 5051525354555657 606162636465666768696a6b6c6d6e6f"
    inputs = ["", *texts.split()]
    assert tree.root(bytes.fromhex(each) for each in inputs[:count]) == root


def test_a_node_cannot_pass_for_a_leaf() -> None:
    left, right = tree.leaf_hash(b"a"), tree.leaf_hash(b"b")
    assert tree.root([left + right]) != tree.root([b"a", b"b"])
    assert hashlib.sha256(left + right).digest() != tree.node_hash(left, right)
