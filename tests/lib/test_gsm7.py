"""Segments at their edges, folding that loses no meaning, cuts that show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitl.lib import gsm7
from tests.standins.twilio import count

letters = st.text(
    st.sampled_from("ab @é€[]{}~^\\|\n…ł²ä") | st.characters(exclude_categories=["Cs"])
)


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("", 0),
        ("a", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("a" * 459, 3),
        ("é" * 160, 1),
        ("\n" * 160, 1),
        ("€" * 80, 1),
        ("€" * 81, 2),
        # 76 of them in 152 places: the last place of a segment cannot hold half a sign.
        ("€" * 152, 2),
        ("€" * 153, 3),
        ("a" * 152 + "€" + "a" * 150, 2),
        ("a" * 152 + "€" + "a" * 152, 3),
        ("ç", 1),
        ("ç" * 70, 1),
        ("ç" * 71, 2),
        ("ç" * 134, 2),
        ("ç" * 135, 3),
        ("a" * 70 + "’", 2),
        ("a" * 152 + "’", 3),  # one curly quote, three messages
        ("\U0001f600" * 35, 1),
        ("\U0001f600" * 36, 2),
        ("\U0001f600" * 66, 2),  # 33 in each: no surrogate pair is split
        ("\U0001f600" * 67, 3),
    ],
)
def test_segments(text: str, segments: int) -> None:
    assert gsm7.segments(text) == segments


@given(letters)
def test_segments_agree_with_another_way_of_counting(text: str) -> None:
    assert gsm7.segments(text) == (count(text) if text else 0)


@pytest.mark.parametrize(
    ("text", "length"), [("abc", 3), ("a€", 3), ("[x]", 5), ("ç€", 2), ("\U0001f600", 2)]
)
def test_length_counts_places(text: str, length: int) -> None:
    assert gsm7.length(text) == length


def test_one_foreign_letter_makes_all_of_it_wide() -> None:
    assert gsm7.length("[x]") == 5
    assert gsm7.length("[x]", within="ç") == 3


def test_alphabet_has_its_128_characters() -> None:
    # With the escape to the extension table, which is no character.
    assert len(gsm7.BASIC) == 127
    assert len(gsm7.EXTENSION) == 10


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Café – “naïve” … \u2018ok’", "Café - \"naive\" ... 'ok'"),
        ("Łódź, Đorđe, œuvre", "Lodz, Dorde, oeuvre"),
        ("garçon Ç", "garcon Ç"),
        ("e\u0301", "é"),
        ("⟦U+202E⟧", "[U+202E]"),
        ("a\u00a0b\tc", "a b c"),
        ("3×4 → 12", "3x4 -> 12"),
        # What would change its meaning stays, at the price of UCS-2.
        ("10² ½ ₹5", "10² ½ ₹5"),
        ("日本 Привет \U0001f600", "日本 Привет \U0001f600"),
    ],
)
def test_fold_loses_nothing_but_accents(text: str, folded: str) -> None:
    assert gsm7.fold(text) == folded


def test_what_gsm7_cannot_say_is_a_question_mark() -> None:
    assert gsm7.only_gsm7("10² €, 日本, naïve") == "10? €, ??, naive"


@given(letters)
def test_folding_twice_is_folding_once(text: str) -> None:
    assert gsm7.fold(gsm7.fold(text)) == gsm7.fold(text)
    assert gsm7.is_gsm7(gsm7.only_gsm7(text))


@pytest.mark.parametrize(
    ("text", "places", "shown"),
    [
        ("Refund order", 12, "Refund order"),
        ("Refund order", 11, "Refund o..."),
        ("Refund order", 10, "Refund..."),
        ("€€€€", 7, "€€..."),
        ("€€€€", 6, "€..."),
        ("\U0001f600\U0001f600\U0001f600", 5, "\U0001f600..."),
        ("abcd", 3, "..."),
        ("abcd", 2, ""),
        ("abcd", 0, ""),
    ],
)
def test_cut_shows_that_something_is_missing(text: str, places: int, shown: str) -> None:
    assert gsm7.cut(text, places) == shown


@given(letters, st.integers(0, 80), letters)
def test_cut_fits(text: str, places: int, within: str) -> None:
    shown = gsm7.cut(text, places, within)
    assert gsm7.length(shown, within) <= places
    assert shown == text or shown.endswith("...") or places < 3
