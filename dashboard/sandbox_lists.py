"""The list of caught messages: each mail is an entry, and so is each chat."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Self
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Max, Q, QuerySet
from django.http import QueryDict
from django.urls import reverse

from deliveries.channels import CHANNELS
from deliveries.models import SandboxMessage
from deliveries.sandbox import books
from hitl.accounts.models import ContactPoint, User
from hitl.lib.text import one_line

SNIPPET = 140
MAIL = "email"
LABELS = {MAIL: "Mail"}

Address = tuple[str, str]  # channel and recipient


@dataclass(frozen=True)
class Filters:
    """What the list is narrowed to; `before` is where the page begins."""

    channel: str = ""
    person: str = ""
    before: str = ""

    @classmethod
    def read(cls, query: QueryDict) -> Self:
        """The filters of a query string; what does not make sense counts as absent."""
        channel, person = query.get("channel", ""), query.get("person", "")
        before = query.get("before", "")[:18]
        return cls(
            channel=channel if channel in CHANNELS else "",
            person=person if _is_id(person) else "",
            before=before if before.isdecimal() else "",
        )

    def query(self, **changes: str) -> str:
        """The query string with some of them changed or added; the page starts anew."""
        wanted = {**asdict(self), "before": "", **changes}
        kept = {name: value for name, value in wanted.items() if value}
        return f"?{urlencode(kept)}" if kept else ""

    @property
    def here(self) -> str:
        """The query string of this very list."""
        return self.query(before=self.before)


@dataclass(frozen=True)
class Entry:
    """One line of the list. `key` stays the same while a chat goes on."""

    key: str
    newest: SandboxMessage
    who: str
    url: str
    snippet: str

    @property
    def label(self) -> str:
        return label_of(self.newest.channel)


@dataclass(frozen=True)
class Page:
    """Some entries, and where older ones begin."""

    entries: list[Entry]
    older: int | None


def read(filters: Filters, *, limit: int) -> Page:
    """The newest entries that fit the filters."""
    rows = _entries(filters)
    if filters.before:
        rows = rows.filter(pk__lt=int(filters.before))
    found = list(rows.defer("html", "headers", "payload")[: limit + 1])
    names = people((row.channel, row.recipient) for row in found)
    entries = [_entry(row, names, filters) for row in found[:limit]]
    return Page(entries, found[limit - 1].pk if len(found) > limit else None)


def _entries(filters: Filters) -> QuerySet[SandboxMessage]:
    rows = SandboxMessage.objects.exclude(kind=SandboxMessage.Kind.MODAL)
    if filters.channel:
        rows = rows.filter(channel=filters.channel)
    if filters.person:
        rows = rows.filter(_reaches(UUID(filters.person)))
    chats = rows.exclude(channel=MAIL).values("channel", "recipient").order_by()
    newest = chats.annotate(newest=Max("pk")).values("newest")
    return rows.filter(Q(channel=MAIL) | Q(pk__in=newest))


def _reaches(user_id: UUID) -> Q:
    """What went to any address of that person."""
    where = Q(channel=MAIL, recipient__in=User.objects.filter(pk=user_id).values("email"))
    for name, kind in CHANNELS.items():
        points = ContactPoint.objects.filter(user=user_id, kind=kind.contact_kind)
        where |= Q(channel=name, recipient__in=points.values("address"))
    return where


def _entry(row: SandboxMessage, names: dict[Address, User], filters: Filters) -> Entry:
    address = (row.channel, row.recipient)
    who = str(names[address]) if address in names else row.recipient
    if row.channel == MAIL:
        key, url = str(row.pk), reverse("sandbox-message", args=[row.pk]) + filters.here
    else:
        key = f"{row.channel}/{row.recipient}"
        url = f"{reverse('sandbox-chat', args=address)}{filters.here}#m-{row.pk}"
    return Entry(key, row, who, url, _snippet(row))


def _snippet(row: SandboxMessage) -> str:
    """What a mail reader shows under the subject."""
    line = one_line(row.text[: 4 * SNIPPET], 4 * SNIPPET)
    return one_line(line.removeprefix(row.subject), SNIPPET)


def people(addresses: Iterable[Address]) -> dict[Address, User]:
    """Whose addresses these are, where they are anybody's."""
    wanted = set(addresses)
    channels = {kind.contact_kind: name for name, kind in CHANNELS.items()}
    texts = {recipient for _, recipient in wanted}
    users = User.objects.filter(email__in=texts)
    found: dict[Address, User] = {(MAIL, user.email): user for user in users}
    points = ContactPoint.objects.filter(address__in=texts, verified_at__isnull=False)
    for point in points.select_related("user"):
        found[channels.get(point.kind, ""), point.address] = point.user
    return {address: user for address, user in found.items() if address in wanted}


def everybody() -> list[User]:
    """The people who have got any message, by name."""
    rows = SandboxMessage.objects.order_by().values_list("channel", "recipient").distinct()
    return sorted(set(people(rows).values()), key=str)


def channels() -> list[tuple[str, str]]:
    """Name and label of the channels that are caught here."""
    return [(name, label_of(name)) for name in (MAIL, *books.played())]


def label_of(channel: str) -> str:
    """What people call it."""
    return LABELS.get(channel) or CHANNELS[channel].label


def _is_id(text: str) -> bool:
    try:
        return bool(UUID(text))
    except ValueError:
        return False
