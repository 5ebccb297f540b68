"""A team's policies and rules as people edit them: the only writers of both.

Every save is a new version; nothing is overwritten and nothing that is open changes. Whoever saves
names the version they have read: if somebody else has saved since, they get a Conflict and lose
nothing of what the other did. All writes of a team stand in one queue (its row is locked), because
policies and rules name each other.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from deliveries.channels import CHANNELS
from hitl.accounts import selectors as accounts
from hitl.accounts.models import Group, Role, Team, User
from hitl.lib.errors import Conflict, FieldError, Forbidden, InvalidInput, NotFound
from workflows.models import ActionType, Policy, PolicyVersion, RuleSet, Status, Workflow
from workflows.policies import format as policy_format
from workflows.policies import rules as rule_format
from workflows.policy_cast import Cast, whos

NAME_LENGTH, NOTE_LENGTH = 100, 300


class Overtaken(Conflict):
    """Somebody else has saved since the caller read; `detail` says who, `version` is theirs."""

    def __init__(self, what: str, version: int, by: User | None) -> None:
        self.version = version
        who = str(by) if by else "Somebody"
        super().__init__(
            f"{who} has saved version {version} of {what} meanwhile. Look at it, then save yours "
            "over it or take theirs."
        )


# --- Who may, and what there is ------------------------------------------------------------------


def may_edit(team: Team, user: User) -> bool:
    """Whether this person is a manager of the team now."""
    member = accounts.membership(team.pk, user.pk)
    return member is not None and member.role == Role.MANAGER


def require_editor(team: Team, user: User | None) -> None:
    """Raise Forbidden unless this is a manager of the team. None is the operator, who may."""
    if user is not None and not may_edit(team, user):
        raise Forbidden(f"Only managers of {team.name} may edit its policies, rules and groups.")


def find(team: Team, policy_id: UUID | str) -> Policy:
    """A policy of the team, archived ones included, or NotFound."""
    policy = Policy.objects.filter(team=team, pk=policy_id).first()
    if policy is None:
        raise NotFound("There is no such policy.")
    return policy


def rules_of(team: Team) -> RuleSet:
    """The rules in force; number 0 and no rules where nobody has saved any yet (not stored)."""
    newest = RuleSet.objects.filter(team=team).select_related("created_by").first()
    return newest or RuleSet(team=team, number=0, rules=[])


def active_names(team: Team) -> list[str]:
    """The names of the policies that can be chosen."""
    rows = Policy.objects.filter(team=team, archived_at=None)
    return list(rows.values_list("name", flat=True))


def uses(policy: Policy) -> list[str]:
    """What stands in the way of archiving a policy: `the action type payments.refund`."""
    found = ["the team, as its default"] if policy.is_default else []
    kinds = ActionType.objects.filter(policy=policy).order_by("name")
    found += [f"the action type {name}" for name in kinds.values_list("name", flat=True)]
    rules = rules_of(policy.team).rules
    return found + [f"the rule {r['name']!r}" for r in rules if r.get("policy") == policy.name]


# --- Policies ------------------------------------------------------------------------------------


def check_policy(document: Any, cast: Cast) -> dict[str, Any]:
    """The normal form of a policy whose people, groups and channels all exist, or InvalidInput."""
    normal = policy_format.normalise(document, channels=list(CHANNELS))
    faults = cast.faults(normal)
    if len(normal["name"]) > NAME_LENGTH:
        faults.insert(0, FieldError("/name", f"At most {NAME_LENGTH} characters are possible."))
    if faults:
        raise InvalidInput(f"The policy cannot be used: {faults[0].message}", faults)
    return normal


@transaction.atomic
def save_policy(
    team: Team,
    document: Any,
    *,
    by: User | None,
    policy_id: UUID | str | None = None,
    expected_version: int | None = None,
    note: str = "",
    as_operator: bool = False,
) -> Policy:
    """Make a policy (no `policy_id`), or save a new version of one.

    `as_operator`: the caller has seen to it that this person may, though they manage no team.

    Saving what stands there already makes no version. A new name is carried into the rules.
    `expected_version` None overwrites whatever is there. Raises InvalidInput, Overtaken, Forbidden
    or NotFound.
    """
    _enter(team, None if as_operator else by)
    normal = check_policy(document, Cast.of(team))
    if policy_id is None:
        _check_name(team, normal["name"])
        policy = Policy.objects.create(team=team, name=normal["name"], document=normal)
        _note_version(policy, by, note)
        return policy
    policy = find(team, policy_id)
    if expected_version not in (None, policy.version):
        last = policy.versions.select_related("created_by").first()
        raise Overtaken(f"{policy.name!r}", policy.version, last.created_by if last else None)
    if policy.document == normal:
        return policy
    if policy.name != normal["name"]:
        _check_name(team, normal["name"])
        _rename_in_rules(team, policy.name, normal["name"], by)
    policy.name, policy.document, policy.version = normal["name"], normal, policy.version + 1
    policy.save()
    _note_version(policy, by, note)
    return policy


def restore_version(
    team: Team,
    policy_id: UUID | str,
    number: int,
    *,
    by: User | None,
    expected_version: int | None = None,
) -> Policy:
    """Save an earlier version anew; it has to hold today: its people may have left."""
    old = PolicyVersion.objects.filter(policy=find(team, policy_id), number=number).first()
    if old is None:
        raise NotFound(f"There is no version {number}.")
    return save_policy(
        team,
        old.document,
        by=by,
        policy_id=policy_id,
        expected_version=expected_version,
        note=f"Version {number} restored",
    )


@transaction.atomic
def archive(team: Team, policy_id: UUID | str, *, by: User | None) -> Policy:
    """Take a policy out of use; open requests keep their copy. Raises Conflict where it is used."""
    _enter(team, by)
    policy = find(team, policy_id)
    in_the_way = uses(policy)
    if in_the_way:
        raise Conflict(
            f"{policy.name!r} is used by {', '.join(in_the_way)}: "
            "choose another policy there first, then archive this one."
        )
    if policy.archived_at is None:
        policy.archived_at = timezone.now()
        policy.save(update_fields=["archived_at", "updated_at"])
    return policy


@transaction.atomic
def unarchive(team: Team, policy_id: UUID | str, *, by: User | None) -> Policy:
    """Bring an archived policy back, if what it says still holds. Raises InvalidInput."""
    _enter(team, by)
    policy = find(team, policy_id)
    if policy.archived_at is not None:
        check_policy(policy.document, Cast.of(team))
        policy.archived_at = None
        policy.save(update_fields=["archived_at", "updated_at"])
    return policy


@transaction.atomic
def make_default(team: Team, policy_id: UUID | str | None, *, by: User | None) -> None:
    """Let a policy apply where nothing names one; None: one answer of any approver, as before."""
    _enter(team, by)
    policy = find(team, policy_id) if policy_id is not None else None
    if policy is not None and policy.archived_at is not None:
        raise Conflict(f"{policy.name!r} is archived: restore it first.")
    # First away with the old one: the database allows one default a team at any moment.
    Policy.objects.filter(team=team, is_default=True).update(is_default=False)
    if policy is not None:
        Policy.objects.filter(pk=policy.pk).update(is_default=True)


# --- Rules ---------------------------------------------------------------------------------------


def check_rules(team: Team, rules: Any) -> list[dict[str, Any]]:
    """The normal form of rules whose policies all exist, or InvalidInput."""
    names = active_names(team)
    if names:
        return rule_format.normalise(rules, now=timezone.now(), policies=names)
    normal = rule_format.normalise(rules, now=timezone.now())
    faults = [
        FieldError(f"/{number}/policy", "The team has no policy yet: make it first.", "unknown")
        for number, rule in enumerate(normal)
        if "policy" in rule
    ]
    if faults:
        raise InvalidInput(f"The rules cannot be used: {faults[0].message}", faults)
    return normal


@transaction.atomic
def save_rules(
    team: Team,
    rules: Any,
    *,
    by: User | None,
    expected_number: int | None = None,
    note: str = "",
    as_operator: bool = False,
) -> RuleSet:
    """Save all rules of a team as a new set, which is then in force.

    Saving what stands there already makes none. Raises InvalidInput, Overtaken or Forbidden.
    """
    _enter(team, None if as_operator else by)
    normal = check_rules(team, rules)
    newest = rules_of(team)
    if expected_number not in (None, newest.number):
        raise Overtaken("the rules", newest.number, newest.created_by)
    if newest.rules == normal:
        return newest
    return _new_rules(team, newest.number, normal, by, note)


def _new_rules(team: Team, after: int, rules: list[Any], by: User | None, note: str) -> RuleSet:
    return RuleSet.objects.create(
        team=team, number=after + 1, rules=rules, created_by=by, note=note.strip()[:NOTE_LENGTH]
    )


def _rename_in_rules(team: Team, old: str, new: str, by: User | None) -> None:
    """A rule goes on naming the policy it meant."""
    newest = rules_of(team)
    renamed = [
        rule | {"policy": new} if rule.get("policy") == old else rule for rule in newest.rules
    ]
    if renamed != newest.rules:
        _new_rules(team, newest.number, renamed, by, f"The policy {old} is now called {new}")


# --- Groups --------------------------------------------------------------------------------------


def users_of_group(group: Group) -> list[str]:
    """The names of the policies that ask a group."""
    rows = Policy.objects.filter(team_id=group.team_id, archived_at=None)
    return [policy.name for policy in rows if _asks(policy.document, group)]


@transaction.atomic
def delete_group(group: Group, *, by: User | None) -> None:
    """Remove a group that nothing asks. Raises Conflict saying what does."""
    _enter(group.team, by)
    named = users_of_group(group)
    if named:
        raise Conflict(f"{group.name} is asked by {', '.join(named)}: change the policy first.")
    rows = Workflow.objects.filter(team_id=group.team_id, status=Status.PENDING)
    waiting = next((row for row in rows.iterator() if _asks(row.policy, group)), None)
    if waiting is not None:
        raise Conflict(
            f"{group.name} is asked by the open request {waiting.name!r}: decide it first."
        )
    group.delete()


def _asks(document: Mapping[str, Any], group: Group) -> bool:
    names = (group.slug, str(group.pk))
    return any(str(who.get("group")) in names for _, who in whos(document))


# --- Common --------------------------------------------------------------------------------------


def _enter(team: Team, by: User | None) -> None:
    """Queue up for the team, then look whether the caller is still its manager.

    The lock is the kind that foreign keys do not wait for: new requests come in meanwhile.
    """
    Team.objects.select_for_update(no_key=True).get(pk=team.pk)
    require_editor(team, by)


def _check_name(team: Team, name: str) -> None:
    other = Policy.objects.filter(team=team, name=name).first()
    if other is None:
        return
    remedy = "Choose another name."
    if other.archived_at:
        remedy = "It is archived: restore it, or choose another name."
    message = f"The team has a policy {name!r} already. {remedy}"
    raise InvalidInput(message, [FieldError("/name", message, "taken")])


def _note_version(policy: Policy, by: User | None, note: str) -> None:
    PolicyVersion.objects.create(
        policy=policy,
        number=policy.version,
        document=policy.document,
        created_by=by,
        note=note.strip()[:NOTE_LENGTH],
    )


def newest_versions(policies: Iterable[Policy]) -> dict[UUID, PolicyVersion]:
    """The newest version of each policy, with who saved it."""
    rows = PolicyVersion.objects.filter(policy__in=list(policies)).select_related("created_by")
    found: dict[UUID, PolicyVersion] = {}
    for row in rows.order_by("-number").iterator():
        found.setdefault(row.policy_id, row)
    return found
