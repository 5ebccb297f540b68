"""Reads what a person wrote back by mail: a clear yes, a clear no with its reason, or neither.

Never guesses: an approval is a line that says nothing but yes, and whatever sounds like a condition
or a contradiction makes the answer unclear. English only; `docs/email.md` lists the words.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import NamedTuple

TEXT_LIMIT, LINES_LIMIT, COMMENT_LIMIT = 20_000, 200, 1000

_YES = (
    r"(?:i )?(?:approved?|approve (?:it|this)|agreed?|accept(?:ed)?|confirm(?:ed)?)"
    r"|yes|y|ok|okay|go ahead|lgtm|looks good(?: to me)?|\+1|\N{THUMBS UP SIGN}"
)
_MANNERS = r"please|thanks|thank you|thx|cheers"
_APPROVES = re.compile(rf"(?:{_YES})(?:[ ,.;!–—-]+(?:{_YES}|{_MANNERS}))*[ .!]*")
# Words that can only mean no may be followed by anything; "no" alone begins "no problem" too.
_REJECTS = re.compile(
    r"(?:i )?(?:reject(?:ed)?(?: (?:it|this))?|declined?|deny|denied|refused?|disapproved?)\b"
    r"[ ,.:;!–—-]*(?P<reason>.*)",
    re.IGNORECASE,
)
_SAYS_NO = re.compile(r"(?:no|nope|n)[ ]*(?:[,.:;!–—-]+[ ]*(?P<reason>.*))?", re.IGNORECASE)
_TAKES_BACK = re.compile(
    r"^(?:(?:no )?(?:problem|worries|objection|issue|concern)s?|approved?|agreed?|accept(?:ed)?"
    r"|ok(?:ay)?|fine|sure|lgtm)\b|\b(?:yes|go ahead|i approve|approve (?:it|this))\b",
    re.IGNORECASE,
)
_CONDITION = re.compile(
    r"\b(?:but|unless|except|however|wait|instead|don'?t|do not|cannot|can'?t|not|hold|stop|reject"
    r"|decline|cancel|change|only|if|as long as|provided|after|before|once|until|when|first"
    r"|p\.?\s?s)\b|\?",
    re.IGNORECASE,
)
_DISCLAIMER = re.compile(r"\b(?:intended recipient|in error|confidential)\b", re.IGNORECASE)

_SIGNATURE = re.compile(r"--|Sent from my .*|Get Outlook for .*|Sent via .*", re.IGNORECASE)
_ORIGINAL = re.compile(
    r"-{3,}.*(?:Original|Forwarded|Ursprüngliche|d'origine).*-{3,}|_{10,}|Begin forwarded message:",
    re.IGNORECASE,
)
_HEADER = re.compile(r"\*?(?:From|Von|De|Da|Van|Från)\s?:\*? .+", re.IGNORECASE)
_NEXT_HEADER = re.compile(
    r"\*?(?:Sent|Date|To|Subject|Gesendet|Datum|An|Betreff|Envoyé|À|Objet)\s?:\*?", re.IGNORECASE
)
_WROTE = re.compile(
    r"(?:On|Am|Le|El|Il|Em|Op|Den|W dniu)\b.*"
    r"\b(?:wrote|schrieb|écrit|escribió|scritto|escreveu|schreef|skrev|napisał\(a\)|napisał)\b.*:"
)
_CLOSING = re.compile(
    r"(?:(?:with )?(?:best|kind|warm|many)? ?(?:regards|wishes|thanks)|best|cheers|thank you"
    r"|sincerely|yours(?: \w+)?|br)(?:[ ,.!–—-]+\w+){0,2}[ ,.!–—-]*",
    re.IGNORECASE,
)

_AROUND = " \t*_\"'\u2018\u2019\u201c\u201d\u00ab\u00bb()[]"


class Said(NamedTuple):
    """A mail read: `decision` is approved, rejected or, where it is not clear, empty."""

    decision: str = ""
    comment: str = ""


def read(text: str, *, writer: str = "") -> Said:
    """What the first line a person wrote decides. `writer` is the sender's display name."""
    paragraphs = _paragraphs(_own_lines(text[:TEXT_LIMIT]))
    if not paragraphs:
        return Said()
    first, *rest = paragraphs[0]
    letter = _without_closing(paragraphs[1:], writer)
    more = [rest, *letter, *filter(_is_postscript, paragraphs[1 + len(letter) :])]
    line = _plain(first)
    if _APPROVES.fullmatch(line.lower()):
        return Said() if _is_doubtful(more) else Said("approved", _joined(more))
    found = _REJECTS.fullmatch(line) or _SAYS_NO.fullmatch(line)
    if not found or "?" in line:
        return Said()
    reason = _reason(found["reason"] or "", more)
    return Said() if _TAKES_BACK.search(reason) else Said("rejected", reason)


def _is_doubtful(paragraphs: list[list[str]]) -> bool:
    """Whether something after a yes sounds like a condition or a second thought."""
    return any(map(_CONDITION.search, itertools.chain.from_iterable(paragraphs)))


def _reason(first: str, more: list[list[str]]) -> str:
    """The rest of the line and of its paragraph; if there is nothing, the paragraph after it."""
    own = _joined([[first, *more[0]]])
    return own or _joined(more[1:2])


def _joined(paragraphs: list[list[str]]) -> str:
    texts = [" ".join(filter(None, map(str.strip, lines))) for lines in paragraphs]
    return "\n".join(filter(None, texts))[:COMMENT_LIMIT].strip()


def _plain(line: str) -> str:
    """The line in ordinary letters, without emphasis, quotation marks or what cannot be seen."""
    text = unicodedata.normalize("NFKC", line).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    text = "".join(c for c in text if unicodedata.category(c) not in ("Cf", "Cc", "Mn", "Sk"))
    return re.sub(r"\s+", " ", text.strip(_AROUND)).strip()


def _without_closing(paragraphs: list[list[str]], writer: str) -> list[list[str]]:
    """Up to where the letter seems to end: regards, the writer's name, small print."""
    kept: list[list[str]] = []
    for lines in paragraphs:
        if _CLOSING.fullmatch(lines[0].strip()) or _is_name(lines[0], writer):
            break
        if any(map(_DISCLAIMER.search, lines)):
            break
        kept.append(lines)
    return kept


def _is_postscript(lines: list[str]) -> bool:
    return re.match(r"p\.?\s?s\b", lines[0].strip(), re.IGNORECASE) is not None


def _is_name(line: str, writer: str) -> bool:
    words, names = line.casefold().split(), writer.casefold().replace(",", " ").split()
    return bool(words) and bool(names) and words[0].strip(".,-") in names


def _paragraphs(lines: list[str]) -> list[list[str]]:
    found: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [lines for lines in found if lines]


# --- Leaving out what somebody else wrote ---------------------------------------------------------


def _own_lines(text: str) -> list[str]:
    """Without quotes, the line that introduces them, and everything from a signature on."""
    lines = text.splitlines()[:LINES_LIMIT]
    own: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at].strip()
        introduced = _introduction(lines, at)
        if introduced and not _is_quote_next(lines, at + introduced):
            break
        if _ends_here(lines, at):
            break
        if not introduced and not line.startswith(">"):
            own.append(lines[at])
        at += introduced or 1
    return own


def _introduction(lines: list[str], at: int) -> int:
    """How many lines, from here on, say that somebody wrote what follows: up to three, or none."""
    if not lines[at].strip():
        return 0
    for count in (1, 2, 3):
        if _WROTE.fullmatch(" ".join(map(str.strip, lines[at : at + count]))):
            return count
    return 0


def _is_quote_next(lines: list[str], at: int) -> bool:
    """Whether what comes next is marked as a quote, so that an answer may stand below it."""
    following = next((line.strip() for line in lines[at:] if line.strip()), "")
    return following.startswith(">")


def _ends_here(lines: list[str], at: int) -> bool:
    line = lines[at].strip()
    if _SIGNATURE.fullmatch(line) or _ORIGINAL.fullmatch(line):
        return True
    return bool(_HEADER.fullmatch(line)) and any(
        _NEXT_HEADER.match(each.strip()) for each in lines[at + 1 : at + 4]
    )


# --- Mails without plain text ---------------------------------------------------------------------


def from_html(html: str) -> str:
    """The text of a mail that came as HTML alone, quotes left out."""
    reader = _Reader()
    reader.feed(html[: 5 * TEXT_LIMIT])
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.parts()).split("\n"))
    return "\n".join(lines)


class _Reader(HTMLParser):
    """Text with line ends where a browser would draw them."""

    SILENT = frozenset({"head", "style", "script", "title", "blockquote"})
    BLOCKS = frozenset({"p", "div", "br", "tr", "li", "h1", "h2", "h3", "hr", "table", "pre"})
    VOID = frozenset({"br", "hr", "img", "meta", "link", "input"})

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[str] = []
        self._open: list[bool] = []  # for each element around us, whether it is left out
        self._names: list[str] = []

    def parts(self) -> Iterator[str]:
        """What was read."""
        yield from self._parts

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._break(tag)
        if tag in self.VOID:
            return
        classes = dict(attrs).get("class") or ""
        left_out = tag in self.SILENT or "gmail_quote" in classes or "moz-cite-prefix" in classes
        self._open.append(left_out)
        self._names.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._names:
            while self._names.pop() != tag:
                self._open.pop()
            self._open.pop()
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if not any(self._open):
            self._parts.append(data.replace("\n", " "))

    def _break(self, tag: str) -> None:
        if tag in self.BLOCKS and not any(self._open):
            self._parts.append("\n")
