"""Text within Slack's limits: literal, with nothing hidden, and cut where everybody can see it.

Invariant: what comes from agents, data or people's names ends up in plain_text objects or in the
literal text of rich text, where Slack reads no markup, mention, link or emoji code.
"""

import datetime as dt
import re

from slack_sdk.models.blocks import PlainTextObject

from hitl.lib.text import one_line, visible

_CUT_ESCAPE = re.compile("⟦[^⟧]*\\Z")
_NOTE_ROOM = 40
_LINES = 12
_NO_LIMIT = 1_000_000_000


def measure(text: str) -> int:
    """The length as Slack may count it, on the safe side.

    Slack's clients count UTF-16 units, its servers store &, < and > as entities.
    """
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    return units + 4 * text.count("&") + 3 * (text.count("<") + text.count(">"))


def clip(text: str, limit: int) -> str:
    """At most `limit` of `measure`, telling how much is missing (in short texts just that)."""
    if measure(text) <= limit:
        return text
    if limit < 4 * _NOTE_ROOM:
        return _prefix(text, limit - 1) + "…"
    head = _prefix(text, limit - _NOTE_ROOM)
    return f"{head}… ({len(text) - len(head)} more characters)"


def _prefix(text: str, limit: int) -> str:
    low, high = 0, min(len(text), limit)  # no character measures less than one
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if measure(text[:middle]) <= limit else (low, middle - 1)
    return _CUT_ESCAPE.sub("", text[:low]).rstrip()


def shown(text: str, limit: int, blank: str = "(empty)") -> str:
    """The text made visible and clipped; Slack refuses texts of nothing, so `blank` stands in."""
    seen = clip(visible(text), limit)
    return seen if seen.strip() else blank


def line(text: str, limit: int, blank: str = "(empty)") -> str:
    """Like `shown`, on one line: for titles and labels, which must not look like more than one."""
    return shown(one_line(text, _NO_LIMIT), limit, blank)


def lines(text: str, limit: int) -> str:
    """A text of several lines, of which the first dozen are shown."""
    parts = visible(text).splitlines()
    more = len(parts) - _LINES
    if more > 0:
        parts = [*parts[:_LINES], f"… ({more} more lines)"]
    return shown("\n".join(parts), limit)


def barred(text: str, limit: int) -> str:
    """A value on one line as it is; one of several with a bar, so that no line poses as a fact."""
    seen = lines(text, limit)
    if "\n" not in seen:
        return seen
    return clip("\n".join(f"│ {part}" for part in seen.splitlines()), limit + 2 * _LINES + 2)


def plain(text: str) -> PlainTextObject:
    """A text object that Slack shows as it is, without turning `:words:` into pictures."""
    return PlainTextObject(text=text, emoji=False)


def escape(text: str) -> str:
    """The three characters that mean something in Slack's markup, as entities."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def moment(iso: str) -> dt.datetime | None:
    """The instant of an ISO 8601 text, in UTC, or None."""
    try:
        parsed = dt.datetime.fromisoformat(iso)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def date_mark(instant: dt.datetime) -> str:
    """Markup that each reader sees in their own time zone; made of our own characters only."""
    fallback = f"{instant:%d %b} {instant.year} {instant:%H:%M} UTC"
    seconds = int(instant.timestamp())
    if seconds <= 0:
        return fallback
    return f"<!date^{seconds}^{{date_short_pretty}} at {{time}}|{fallback}>"
