"""Whom a team's policies may speak of: its members, groups and roles, and faults where one is not.

`policies.format` judges the form of a policy; whether its people exist is known only here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hitl.accounts.models import Group, Membership, Role, Team, User
from hitl.lib import pointer
from hitl.lib.errors import FieldError
from workflows.policies.checks import near
from workflows.policies.plain import Names

_REMEDY = "make them an approver, or choose somebody else."


@dataclass(frozen=True)
class Cast:
    """A team's members by id (with their roles) and groups by slug, as of when it was read."""

    team: Team
    users: Mapping[str, User]
    roles: Mapping[str, str]
    groups: Mapping[str, Group]
    members: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, team: Team) -> "Cast":
        """Everybody of the team, in three queries."""
        rows = Membership.objects.filter(team=team).select_related("user")
        memberships = list(rows.order_by("user__name", "user__email"))
        groups = {group.slug: group for group in Group.objects.filter(team=team)}
        slugs = {group.pk: slug for slug, group in groups.items()}
        inside: dict[str, set[str]] = {slug: set() for slug in groups}
        through = Group.members.through.objects.filter(group__team=team)
        for group_id, user_id in through.values_list("group_id", "user_id"):
            if group_id in slugs:
                inside[slugs[group_id]].add(str(user_id))
        return cls(
            team,
            {str(row.user_id): row.user for row in memberships},
            {str(row.user_id): str(row.role) for row in memberships},
            groups,
            {slug: frozenset(ids) for slug, ids in inside.items()},
        )

    @cached_property
    def names(self) -> Names:
        """What people and groups are called in sentences."""
        groups = {slug: group.name for slug, group in self.groups.items()}
        by_id = {str(group.pk): group.name for group in self.groups.values()}
        return Names({id_: str(user) for id_, user in self.users.items()}, groups | by_id)

    @cached_property
    def deciding(self) -> frozenset[str]:
        """Ids of the members who may decide."""
        roles = (Role.APPROVER, Role.MANAGER)
        return frozenset(
            id_ for id_, user in self.users.items() if user.is_active and self.roles[id_] in roles
        )

    def person(self, text: str) -> str | None:
        """The id of a member by id or e-mail address; None where there is nobody."""
        wanted = text.strip().lower()
        if wanted in self.users:
            return wanted
        return next((id_ for id_, user in self.users.items() if user.email.lower() == wanted), None)

    def address(self, id_: str) -> str:
        """The e-mail address of a member, by which files call them; the id of a stranger."""
        return self.users[id_].email if id_ in self.users else id_

    def faults(self, document: Mapping[str, Any]) -> list[FieldError]:
        """What a policy in normal form says of people who are not there."""
        return [fault for place, who in whos(document) for fault in self._faults(place, who)]

    def _faults(self, place: str, who: Mapping[str, Any]) -> Iterator[FieldError]:
        if "group" in who and not self._has_group(str(who["group"])):
            said = f"There is no group {who['group']!r} in {self.team.name}."
            hint = near(who["group"], list(self.groups)) if self.groups else " Make it first."
            yield FieldError(pointer.join(place, "group"), said + hint, "unknown_group")
        for number, id_ in enumerate(who.get("users", ())):
            here = pointer.join(place, "users", number)
            if id_ not in self.users:
                message = f"{id_} is not in {self.team.name}: choose a member, or add the person."
                yield FieldError(here, message, "unknown_person")
            elif id_ not in self.deciding:
                message = f"{self.users[id_]} may not decide in {self.team.name}: " + _REMEDY
                yield FieldError(here, message, "no_approver")
        for number, role in enumerate(who.get("roles", ())):
            if role not in Role.values:
                message = f"There is no role {role!r}.{near(role, Role.values)}"
                yield FieldError(pointer.join(place, "roles", number), message, "unknown_role")

    def _has_group(self, name: str) -> bool:
        return name in self.groups or any(str(group.pk) == name for group in self.groups.values())

    def warnings(self, document: Mapping[str, Any]) -> list[str]:
        """What a policy asks that nobody can give at the moment; people may still be added."""
        said = []
        for place, who in whos(document):
            able = self.meant(who)
            wanted = _count_beside(document, place)
            if able is None or len(able) >= wanted:
                continue
            people = self.names.group(str(who["group"])) if "group" in who else "The team"
            has = (
                "nobody" if not able else "one person" if len(able) == 1 else f"{len(able)} people"
            )
            role = f" with the role {who['roles'][0]}" if "roles" in who else ""
            said.append(f"{people} has {has}{role} who may decide, and {wanted} are wanted.")
        return list(dict.fromkeys(said))

    def meant(self, who: Mapping[str, Any]) -> frozenset[str] | None:
        """Ids of those who are meant and may decide; None where that depends on the request."""
        if "team" in who:
            return self.deciding
        if "group" in who:
            name = str(who["group"])
            found = next(
                (slug for slug, group in self.groups.items() if name in (slug, str(group.pk))), ""
            )
            return self.members.get(found, frozenset()) & self.deciding
        if "roles" in who:
            ranks = {role: rank for rank, role in enumerate(Role.values)}
            least = min(ranks.get(role, len(ranks)) for role in who["roles"])
            return frozenset(id_ for id_ in self.deciding if ranks[self.roles[id_]] >= least)
        if "users" in who:
            return frozenset(who["users"]) & self.deciding
        return None


def whos(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Everybody a policy in normal form speaks of, each with its place."""
    for number, stage in enumerate(document["stages"]):
        here = pointer.join("/stages", number)
        yield from _in_need(stage["need"], pointer.join(here, "need"))
        for turn, step in enumerate(stage.get("escalation", ())):
            yield pointer.join(here, "escalation", turn, "to"), step["to"]


def _in_need(need: Mapping[str, Any], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if "who" in need:
        yield pointer.join(place, "who"), need["who"]
    for word in ("allOf", "anyOf"):
        for number, part in enumerate(need.get(word, ())):
            yield from _in_need(part, pointer.join(place, word, number))


def _count_beside(document: Mapping[str, Any], place: str) -> int:
    """The count that goes with the people at a place; "all" is one at least."""
    here: Any = document
    for token in pointer.split(place)[:-1]:
        here = here[int(token)] if isinstance(here, list) else here[token]
    count = here.get("count", 1)
    return 1 if count == "all" else int(count)
