"""Whether those who listen may still do so: one look for all of them, however many there are.

A stream outlives the moment in which its credential was checked; this is how a revoked key, an
expired token, a logout or a changed membership reaches it.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from hitl.accounts.authentication import CLOCK_SKEW_SECONDS, Credential
from hitl.accounts.models import Agent, ApiKey, Membership, User

UNKNOWN = "This credential is not accepted any more."
CHANGED = "The teams that may be heard with it have changed: connect again."
READ = "read"


@dataclass(frozen=True)
class Listener:
    """Somebody who listens, by what proof, to which teams."""

    principal: str  # agent:<id> or user:<id>
    credential: Credential
    teams: frozenset[UUID]

    @property
    def is_person(self) -> bool:
        return self.principal.startswith("user:")


@dataclass(frozen=True)
class Objection:
    """Why somebody may not listen any more, in a sentence."""

    says: str
    is_unknown: bool  # the credential is not good for anything; else it is for something else


def listener(principal: Agent | User, credential: Credential, teams: Iterable[UUID]) -> Listener:
    """Who listens, as of a request that has just been authenticated."""
    return Listener(_name(principal), credential, frozenset(teams))


def objections(listeners: Collection[Listener]) -> dict[Listener, Objection]:
    """Those who may not listen any more, and why. A handful of queries for all of them."""
    teams = _teams(listeners)
    found = {}
    for each in listeners:
        heard = teams.get(each.credential)
        if heard is None:
            found[each] = Objection(UNKNOWN, is_unknown=True)
        elif heard != each.teams:
            found[each] = Objection(CHANGED, is_unknown=False)
    return found


def _teams(listeners: Iterable[Listener]) -> dict[Credential, frozenset[UUID]]:
    """What each credential lets hear now; those that are not good any more are left out."""
    kinds: defaultdict[str, list[Listener]] = defaultdict(list)
    for each in listeners:
        kinds[each.credential.kind].append(each)
    jwts = [each for each in kinds["jwt"] if not _is_over(each.credential)]
    agents = _agents(_ids(jwts, "agent"))
    logins = _logins([each.credential.id for each in kinds["session"]])
    people = _people({*_ids(jwts, "user"), *logins.values()})
    heard = _keys({each.credential.id: each.credential for each in kinds["api_key"]})
    for each in jwts:
        kind, _, raw_id = each.principal.partition(":")
        found = (agents if kind == "agent" else people).get(UUID(raw_id))
        if found is not None:
            heard[each.credential] = found
    for each in kinds["session"]:
        user_id = logins.get(each.credential.id)
        if user_id in people and each.principal == f"user:{user_id}":
            heard[each.credential] = people[user_id]
    return heard


def _keys(credentials: dict[str, Credential]) -> dict[Credential, frozenset[UUID]]:
    rows = ApiKey.objects.select_related("agent").filter(pk__in=credentials)
    return {
        credentials[str(row.pk)]: frozenset({row.agent.team_id})
        if READ in row.scopes
        else frozenset()
        for row in rows
        if row.is_usable
    }


def _agents(ids: Collection[UUID]) -> dict[UUID, frozenset[UUID]]:
    rows = Agent.objects.filter(pk__in=ids, is_active=True).values_list("pk", "team_id")
    return {agent_id: frozenset({team_id}) for agent_id, team_id in rows}


def _people(ids: Collection[UUID]) -> dict[UUID, frozenset[UUID]]:
    active = User.objects.filter(pk__in=ids, is_active=True).values_list("pk", flat=True)
    teams: dict[UUID, set[UUID]] = {user_id: set() for user_id in active}
    for user_id, team_id in Membership.objects.filter(user__in=teams).values_list("user", "team"):
        teams[user_id].add(team_id)
    return {user_id: frozenset(found) for user_id, found in teams.items()}


def _logins(session_keys: Collection[str]) -> dict[str, UUID]:
    """Who is behind each of these sessions, where it is still good."""
    rows = Session.objects.filter(session_key__in=session_keys, expire_date__gt=timezone.now())
    said = {row.session_key: row.get_decoded() for row in rows}
    ids = {data[SESSION_KEY] for data in said.values() if BACKEND_SESSION_KEY in data}
    users = {str(user.pk): user for user in User.objects.filter(pk__in=ids, is_active=True)}
    found = {}
    for key, data in said.items():
        user = users.get(data.get(SESSION_KEY, ""))
        # A changed password ends the sessions that began with the old one.
        if user and constant_time_compare(
            data.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash()
        ):
            found[key] = user.pk
    return found


def _ids(listeners: Iterable[Listener], kind: str) -> list[UUID]:
    pairs = (each.principal.partition(":") for each in listeners)
    return [UUID(raw_id) for found, _, raw_id in pairs if found == kind]


def _is_over(credential: Credential) -> bool:
    end = credential.expires_at
    return end is not None and end + CLOCK_SKEW_SECONDS <= time.time()


def _name(principal: Agent | User) -> str:
    return f"{'agent' if isinstance(principal, Agent) else 'user'}:{principal.pk}"
