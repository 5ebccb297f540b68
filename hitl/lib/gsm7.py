"""What a text costs as SMS: its alphabet, its length, its segments. Pure functions.

3GPP TS 23.038 (section 6.2.1): a text wholly in the GSM 7-bit alphabet has 160 characters in one
message and 153 in each segment of several; one foreign character turns all of it into UCS-2 with
70 and 67. What takes two places (GSM-7 extension, UTF-16 surrogates) is never split by a segment.
"""

import unicodedata

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = frozenset("\f^{}\\[~]|€")

# Signs that a reader takes for the same. Never digits: ² is not 2.
_SAME = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b`\u00b4\u2032\u2039\u203a", "'"),  # single quotes
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),  # double quotes
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2022", "-"),  # dashes, minus
        **{"…": "...", "\t": " ", "\u00a0": " ", "⟦": "[", "⟧": "]", "×": "x", "→": "->"},
        **{"ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "\u0131": "i", "œ": "oe", "Œ": "OE"},
    }
)


def is_gsm7(text: str) -> bool:
    """Whether all of the text is in the cheap alphabet."""
    return all(character in BASIC or character in EXTENSION for character in text)


def length(text: str, within: str = "") -> int:
    """Places taken: septets, or UTF-16 units where text and `within` are not wholly in GSM-7."""
    return _places(text, not is_gsm7(text + within))


def segments(text: str) -> int:
    """How many messages the text is sent (and charged) as."""
    sizes = _sizes(text)
    alone, joined = (160, 153) if is_gsm7(text) else (70, 67)
    if sum(sizes) <= alone:
        return 1 if text else 0
    count, used = 1, 0
    for size in sizes:
        if used + size > joined:
            count, used = count + 1, 0
        used += size
    return count


def fold(text: str) -> str:
    """The text with GSM-7 characters wherever a reader loses nothing but an accent."""
    composed = unicodedata.normalize("NFC", text.translate(_SAME))
    return "".join(map(_fold, composed))


def only_gsm7(text: str) -> str:
    """The text with a visible `?` for each character that GSM-7 cannot say."""
    return "".join(letter if is_gsm7(letter) else "?" for letter in fold(text))


def cut(text: str, places: int, within: str = "") -> str:
    """The text, visibly shortened to at most `places` (in the alphabet of text and `within`)."""
    wide = not is_gsm7(text + within)
    if _places(text, wide) <= places:
        return text
    room, kept = places - len("..."), ""
    for character in text:
        room -= _places(character, wide)
        if room < 0:
            break
        kept += character
    return f"{kept.rstrip()}..." if places >= len("...") else ""


def _sizes(text: str) -> list[int]:
    wide = not is_gsm7(text)
    return [_places(character, wide) for character in text]


def _places(text: str, wide: bool) -> int:
    if wide:
        return len(text.encode("utf-16-le", "surrogatepass")) // 2
    return len(text) + sum(character in EXTENSION for character in text)


def _fold(character: str) -> str:
    if is_gsm7(character):
        return character
    base, *marks = list(unicodedata.normalize("NFD", character))
    bare = marks and all(unicodedata.category(mark) == "Mn" for mark in marks)
    return base if bare and is_gsm7(base) else character
