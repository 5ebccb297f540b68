"""Find what the operator named, or say which names there are."""

from collections.abc import Iterable

from django.core.management import CommandError

from hitl.accounts.models import Agent, Team, User


def find_team(slug: str | None) -> Team:
    """The team of that short name; without a name, the only one there is."""
    teams = list(Team.objects.all())
    if slug is None and len(teams) == 1:
        return teams[0]
    found = next((team for team in teams if team.slug == slug), None)
    if found is None:
        what = f"There is no team {slug!r}" if slug else "Name the team with --team"
        raise CommandError(f"{what}; {_known(team.slug for team in teams)}")
    return found


def find_agent(name: str, team: str | None = None) -> Agent:
    """The agent of that name; the team is needed only where two teams have one."""
    agents = Agent.objects.select_related("team").filter(name=name)
    if team is not None:
        agents = agents.filter(team=find_team(team))
    found = list(agents)
    if len(found) > 1:
        slugs = _known(agent.team.slug for agent in found)
        raise CommandError(f"Several teams have an agent {name!r}: name one with --team; {slugs}")
    if not found:
        names = _known(Agent.objects.values_list("name", flat=True))
        raise CommandError(f"There is no agent {name!r}; {names}")
    return found[0]


def find_user(email: str) -> User:
    """The person who logs in with that address."""
    user = User.objects.filter(email__iexact=email, is_active=True).first()
    if user is None:
        raise CommandError(
            f"Nobody with an active account logs in as {email}: "
            "add the person in the admin, or run manage.py createsuperuser"
        )
    return user


def _known(names: Iterable[str]) -> str:
    return "known: " + (", ".join(sorted(set(names))) or "none yet")
