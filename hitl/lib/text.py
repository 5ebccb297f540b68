"""Text from strangers, made honest: what cannot be seen is shown, what imitates is told.

Invariant: `visible` only ever replaces characters that draw nothing or reorder others, by escapes
like `⟦U+202E⟧`; stored values are never changed, only what people look at.
"""

import re
import unicodedata

# Draw nothing, move other characters, or have no agreed look. Ranges of code points, inclusive.
INVISIBLE: tuple[tuple[int, int], ...] = (
    (0x0000, 0x0008),  # C0 controls; tab and line feed are ordinary white space
    (0x000B, 0x001F),
    (0x007F, 0x009F),  # delete, C1 controls
    (0x00AD, 0x00AD),  # soft hyphen
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x061C, 0x061C),  # Arabic letter mark (bidi)
    (0x115F, 0x1160),  # Hangul fillers
    (0x1680, 0x1680),  # Ogham space mark
    (0x17B4, 0x17B5),  # Khmer inherent vowels
    (0x180B, 0x180F),  # Mongolian variation selectors, vowel separator
    (0x2000, 0x200F),  # spaces of odd widths, zero-width characters, bidi marks
    (0x2028, 0x202E),  # line and paragraph separators, bidi embeddings and overrides
    (0x205F, 0x206F),  # mathematical space, word joiner, invisible operators, bidi isolates
    (0x2800, 0x2800),  # Braille blank
    (0x3164, 0x3164),  # Hangul filler
    (0xD800, 0xF8FF),  # surrogates, private use
    (0xFDD0, 0xFDEF),  # noncharacters
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFEFF, 0xFEFF),  # byte order mark
    (0xFFA0, 0xFFA0),  # halfwidth Hangul filler
    (0xFFF0, 0xFFFB),  # unassigned ignorables, interlinear annotation
    (0xFFFE, 0xFFFF),  # noncharacters
    (0x13430, 0x1343F),  # Egyptian format controls
    (0x1BCA0, 0x1BCA3),  # shorthand format controls
    (0x1D159, 0x1D159),  # musical null notehead
    (0x1D173, 0x1D17A),  # musical format controls
    (0xE0000, 0x10FFFF),  # tags, more variation selectors, private use
)

# Letters drawn like Latin ones. Greek letters with a shape of their own (Δ, μ, Ω, π …) are left
# out, because units and formulas mix them with Latin in good faith.
_LOOKALIKES = (
    "\u0391\u0392\u0395-\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7"  # Greek
    "\u03b1\u03b3\u03b5\u03b7\u03b9\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7\u03c9\u03f2\u03f3"
    "\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f"  # Cyrillic
    "\u0531-\u0587\u13a0-\u13fd\uab70-\uabbf"  # Armenian, Cherokee
    "\uff21-\uff3a\uff41-\uff5a\U0001d400-\U0001d7cb"  # full-width, mathematical letters
)


def _char_class(ranges: tuple[tuple[int, int], ...]) -> str:
    return "".join(f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in ranges)


# CR before LF is one line end and stays; a lone CR rewrites the line in a terminal and is shown.
HIDDEN = re.compile(f"(?!\r\n)[{_char_class(INVISIBLE)}]")
_LATIN = re.compile("[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff]")
_LOOKALIKE = re.compile(f"[{_LOOKALIKES}]")
_WORD = re.compile(r"\w+")
_BLANKS = re.compile("[\\s\0\u2028\u2029]+")
_MARKS_IN_A_ROW = 4


def visible(text: str) -> str:
    """The text with everything invisible or reordering written out as `⟦U+202E⟧`."""
    if text.isascii() and text.isprintable():
        return text
    escaped = HIDDEN.sub(lambda found: _escape(found, text), text)
    return escaped if escaped.isascii() else _unstack(escaped)


def has_deceptive(text: str) -> bool:
    """Whether to warn: the text hides characters, or mixes look-alike alphabets within a word."""
    return visible(text) != text or any(_is_mixed(word) for word in _WORD.findall(text))


def one_line(text: str, limit: int) -> str:
    """The text for a subject or a title: one line, visible, at most `limit` characters.

    Line ends and NUL become single spaces, so that no text can start a header of its own.
    """
    line = visible(_BLANKS.sub(" ", text).strip())
    return line if len(line) <= limit else line[: max(limit - 1, 0)].rstrip() + "…"


def _escape(found: re.Match[str], text: str) -> str:
    character = found[0]
    if character in "\ufe0f\u200d" and _within_emoji(text, found.start()):
        return character
    return f"⟦U+{ord(character):04X}⟧"


def _within_emoji(text: str, at: int) -> bool:
    """Whether a selector or joiner does its ordinary work: after a symbol, a joiner also before."""
    before = unicodedata.category(text[at - 1]) if at else ""
    if text[at] == "\ufe0f":
        return before in ("So", "Sm")
    after = unicodedata.category(text[at + 1]) if at + 1 < len(text) else ""
    return (before in ("So", "Sk") or text[at - 1] == "\ufe0f") and after == "So"


def _unstack(text: str) -> str:
    """Escape combining marks after the fourth in a row: such towers cover the lines around them."""
    shown: list[str] = []
    height = 0
    for character in text:
        height = height + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        shown.append(character if height <= _MARKS_IN_A_ROW else f"⟦U+{ord(character):04X}⟧")
    return "".join(shown)


def _is_mixed(word: str) -> bool:
    return not word.isascii() and bool(_LATIN.search(word)) and _LOOKALIKE.search(word) is not None
