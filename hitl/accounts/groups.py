"""Groups of a team's members, which policies call by their slug: made, renamed, filled."""

from collections.abc import Collection
from uuid import UUID

from django.db import transaction
from django.utils.text import slugify

from hitl.accounts.models import Group, Membership, Role, Team, User
from hitl.lib.errors import FieldError, Forbidden, InvalidInput, NotFound

NAME_LENGTH, SLUG_LENGTH = 80, 50


def find(team: Team, group_id: UUID) -> Group:
    """A group of the team, or NotFound."""
    group = Group.objects.filter(team=team, pk=group_id).select_related("team").first()
    if group is None:
        raise NotFound("There is no such group.")
    return group


@transaction.atomic
def save(
    team: Team,
    *,
    name: str,
    members: Collection[str],
    by: User | None,
    group: Group | None = None,
) -> Group:
    """Make a group, or change its name and members; its slug stays, because policies name it.

    `members` are ids of members of the team. Members who leave the group keep the votes they have
    cast; new ones need the right now. Raises InvalidInput, or Forbidden for who is no manager
    (`by` None: the operator).
    """
    managers = Membership.objects.filter(team=team, user=by, role=Role.MANAGER)
    if by is not None and not (by.is_active and managers.exists()):
        raise Forbidden(f"Only managers of {team.name} may edit its groups.")
    name = " ".join(name.split())
    _check_name(team, name, group)
    known = {str(user.pk): user for user in team.members.all()}
    stranger = next((id_ for id_ in members if id_ not in known), None)
    if stranger is not None:
        message = f"Only members of {team.name} can be in its groups."
        raise InvalidInput(message, [FieldError("/members", message)])
    saved = group or Group(team=team, slug=_slug(team, name))
    saved.name = name
    saved.save()
    saved.members.set([known[id_] for id_ in members])
    return saved


def _check_name(team: Team, name: str, group: Group | None) -> None:
    message = ""
    if not name:
        message = "Give the group a name."
    elif len(name) > NAME_LENGTH or not name.isprintable():
        message = f"Write at most {NAME_LENGTH} characters that can be seen."
    else:
        others = Group.objects.filter(team=team, name__iexact=name)
        if (others.exclude(pk=group.pk) if group else others).exists():
            message = f"There is a group {name!r} already."
    if message:
        raise InvalidInput(message, [FieldError("/name", message)])


def _slug(team: Team, name: str) -> str:
    base = slugify(name)[: SLUG_LENGTH - 4].strip("-") or "group"
    taken = set(
        Group.objects.filter(team=team, slug__startswith=base).values_list("slug", flat=True)
    )
    candidates = (base, *(f"{base}-{number}" for number in range(2, len(taken) + 2)))
    return next(slug for slug in candidates if slug not in taken)
