"""The pages on which managers look after their team: who may see them, what they share."""

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe
from django.views.defaults import permission_denied

from hitl.accounts import selectors as accounts
from hitl.accounts.models import Membership, Role, Team, User
from hitl.lib.errors import Forbidden, NotFound

METHODS = ["GET", "HEAD", "POST"]
View = Callable[..., HttpResponse]


def user_of(request: HttpRequest) -> User:
    """Who is logged in; `login_required` stands before every caller."""
    return cast(User, request.user)


def managed_teams(user: User) -> list[Team]:
    """The teams that this person manages, by name."""
    rows = Membership.objects.filter(user=user, role=Role.MANAGER).select_related("team")
    return [row.team for row in rows.order_by("team__name")]


def refused(request: HttpRequest, why: str) -> HttpResponse:
    """The page for who may not. Nothing is raised: it is no trouble for the log to trace."""
    return permission_denied(request, PermissionDenied(why))


def managed(view: View) -> View:
    """A page for managers of the team in the path, which the view gets as `team`.

    Other members are told so; for everybody else there is no such team.
    """

    @wraps(view)
    def guarded(request: HttpRequest, slug: str, **place: Any) -> HttpResponse:
        team = Team.objects.filter(slug=slug, memberships__user=user_of(request)).first()
        if team is None:
            raise Http404("There is no such team.")
        member = accounts.membership(team.pk, user_of(request).pk)
        if member is None or member.role != Role.MANAGER:
            return refused(request, f"Only managers of {team.name} may do this.")
        try:
            return view(request, team=team, **place)
        except NotFound as error:
            raise Http404(str(error)) from None
        except Forbidden as error:
            return refused(request, str(error))

    return cast(View, login_required(require_http_methods(METHODS)(guarded)))


@login_required
@require_safe
def start(request: HttpRequest) -> HttpResponse:
    """The policies of the first team that the person manages."""
    teams = managed_teams(user_of(request))
    if not teams:
        return refused(request, "Only managers of a team may see its policies.")
    return redirect("policies", slug=teams[0].slug)


def page(
    request: HttpRequest, template: str, team: Team, tab: str, *, status: int = 200, **context: Any
) -> HttpResponse:
    """A page of the area. `tab` is `policies`, `rules` or `groups`."""
    teams = managed_teams(user_of(request))
    frame = {"section": "team", "team": team, "teams": teams, "tab": tab}
    return render(request, f"dashboard/team/{template}.html", frame | context, status=status)
