"""The pages of a team's groups: who is in which, what asks them, new ones."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from dashboard.team_area import managed, page, user_of
from hitl.accounts import groups
from hitl.accounts.models import Group, Role, Team
from hitl.lib.errors import HitlError
from workflows import policy_books
from workflows.policy_cast import Cast

TYPED_LIMIT = 200


@managed
def index(request: HttpRequest, team: Team) -> HttpResponse:
    """All groups with their members and the policies that ask them."""
    rows = [
        {
            "group": group,
            "members": list(group.members.all()),
            "uses": policy_books.users_of_group(group),
        }
        for group in _groups(team)
    ]
    return page(request, "groups", team, "groups", rows=rows)


def _groups(team: Team) -> QuerySet[Group]:
    return Group.objects.filter(team=team).prefetch_related("members")


@managed
def new(request: HttpRequest, team: Team) -> HttpResponse:
    """A group that is not there yet."""
    return _edit(request, team, None)


@managed
def edit(request: HttpRequest, team: Team, group_id: UUID) -> HttpResponse:
    """A group's name and members."""
    return _edit(request, team, groups.find(team, group_id))


def _edit(request: HttpRequest, team: Team, group: Group | None) -> HttpResponse:
    if request.method != "POST":
        inside = {str(pk) for pk in group.members.values_list("pk", flat=True)} if group else set()
        return _form(request, team, group, group.name if group else "", inside)
    name = request.POST.get("name", "")[:TYPED_LIMIT]
    members = set(request.POST.getlist("members"))
    try:
        saved = groups.save(team, name=name, members=members, by=user_of(request), group=group)
    except HitlError as error:
        return _form(request, team, group, name, members, error)
    messages.success(request, f"{saved.name} is saved.")
    return redirect("groups", slug=team.slug)


def _form(
    request: HttpRequest,
    team: Team,
    group: Group | None,
    name: str,
    members: set[str],
    error: HitlError | None = None,
) -> HttpResponse:
    cast = Cast.of(team)
    people: list[dict[str, Any]] = [
        {
            "id": id_,
            "user": user,
            "role": Role(cast.roles[id_]).label,
            "may_decide": id_ in cast.deciding,
            "is_in": id_ in members,
        }
        for id_, user in cast.users.items()
    ]
    return page(
        request,
        "group",
        team,
        "groups",
        status=error.status if error else 200,
        group=group,
        name=name,
        people=people,
        error=error,
        uses=policy_books.users_of_group(group) if group else [],
    )


@managed
def delete(request: HttpRequest, team: Team, group_id: UUID) -> HttpResponse:
    """Remove a group that nothing asks."""
    group = groups.find(team, group_id)
    if request.method != "POST":
        return redirect("group", slug=team.slug, group_id=group.pk)
    try:
        policy_books.delete_group(group, by=user_of(request))
    except HitlError as error:
        messages.error(request, error.detail)
        return redirect("group", slug=team.slug, group_id=group_id)
    messages.success(request, f"{group.name} is gone.")
    return redirect("groups", slug=team.slug)
