"""Tests of hitl/lib/text.py: nothing a stranger writes looks like what it is not."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitl.lib import text

# Signs of the category "format" that do draw something, in Arabic, Syriac and Kaithi script.
DRAWN = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}


def escape(code: int) -> str:
    return f"⟦U+{code:04X}⟧"


@pytest.mark.parametrize(
    "code",
    [
        0x202E,  # right-to-left override
        0x2066,  # isolate
        0x200B,  # zero-width space
        0x200D,  # joiner, outside of an emoji
        0x2060,  # word joiner
        0xFEFF,  # byte order mark
        0xE0041,  # tag letter
        0xFE0F,  # variation selector, not after an emoji
        0xE0100,  # variation selector supplement
        0x3164,  # Hangul filler
        0x115F,
        0xFFA0,
        0x00AD,  # soft hyphen
        0x2028,  # line separator
        0x0000,
        0x001B,  # escape, starts terminal sequences
        0x0008,  # backspace
        0x000D,  # lone carriage return
        0x0085,
        0x2800,
        0xE000,  # private use
        0xD800,  # lone surrogate
    ],
)
def test_hidden_characters_are_written_out_and_warned_about(code: int) -> None:
    hidden = f"ab{chr(code)}cd"
    assert text.visible(hidden) == f"ab{escape(code)}cd"
    assert text.has_deceptive(hidden)


def test_every_control_and_format_character_of_unicode_is_written_out() -> None:
    missed = [
        hex(code)
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
        and code not in DRAWN
        and chr(code) not in "\t\n"
        and escape(code) not in text.visible(f"a{chr(code)}a")
    ]
    assert missed == []


@pytest.mark.parametrize(
    "word",
    [
        "p\u0430ypal",  # Cyrillic a
        "\u0410pple",
        "g\u03bf\u03bfgle",  # Greek omicron
        "micros\u043eft.com",
        "user\u0435_id",
        "\uff41dmin",  # full-width a
        "\U0001d41aadmin",  # mathematical bold a
        "\u0555range",  # Armenian
    ],
)
def test_words_of_mixed_alphabets_are_warned_about(word: str) -> None:
    assert text.has_deceptive(f"Send to {word} now")


def test_towers_of_combining_marks_are_cut_down() -> None:
    tower = "a" + "\u0301" * 50
    assert text.visible(tower) == "a" + "\u0301" * 4 + escape(0x301) * 46
    assert text.has_deceptive(tower)


@pytest.mark.parametrize(
    "honest",
    [
        "",
        "Plain text, 100 %.",
        "Two lines\nand a\ttab",
        "Windows\r\nlines",
        "Grüße aus Łódź, déjà vu, Tiếng Việt",
        "Привет мир",
        "Привет, John",
        "καλημέρα",
        "5 μm, 10 kΩ, Δt, λ-term",
        "日本語 と 漢字",
        "한국어",
        "שלום עולם",
        "مرحبا",
        "Done ✅ ⚠\ufe0f 👍\U0001f3fd",
        "family 👨\u200d👩\u200d👧 and 🏳\ufe0f\u200d🌈",
        "prix\u00a0: 10\u202f€",
        "<script>alert(1)</script> {{7*7}}",
    ],
)
def test_honest_text_is_left_alone(honest: str) -> None:
    assert text.visible(honest) == honest
    assert not text.has_deceptive(honest)


def test_emoji_joiners_hide_nothing_at_the_ends_of_a_text() -> None:
    assert text.visible("\u200d👍") == escape(0x200D) + "👍"
    assert text.visible("👍\u200d") == "👍" + escape(0x200D)
    assert text.visible("\ufe0f") == escape(0xFE0F)
    assert text.visible("👍\ufe0f\ufe0f") == "👍\ufe0f" + escape(0xFE0F)


@pytest.mark.parametrize(
    "raw",
    ["a\r\nBcc: x@evil.test", "a\nb", "a\rb", "a\0b", "a\u2028b", "a\u2029b", "a\x0bb", "a\x85b"],
)
def test_a_subject_is_one_line_whatever_it_was(raw: str) -> None:
    line = text.one_line(raw, 150)
    assert line.startswith("a ")
    assert len(line.splitlines()) == 1
    assert "\0" not in line


def test_a_long_subject_is_cut_with_an_ellipsis() -> None:
    assert text.one_line("x" * 150, 150) == "x" * 150
    assert text.one_line("x" * 151, 150) == "x" * 149 + "…"
    assert text.one_line("word " * 100, 10) == "word word…"
    assert text.one_line("  spaced   out  ", 150) == "spaced out"


@given(st.text(), st.integers(1, 60))
def test_a_subject_never_breaks_out_nor_grows(raw: str, limit: int) -> None:
    line = text.one_line(raw, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1


@given(st.text())
def test_what_is_visible_stays_as_it_is(raw: str) -> None:
    once = text.visible(raw)
    assert text.visible(once) == once
