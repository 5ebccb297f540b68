"""Policies, rules and dry runs: for people who manage a team."""

from typing import Any
from uuid import UUID

from django.db import transaction
from rest_framework.request import Request
from rest_framework.response import Response

from hitl.accounts.models import Membership, Role, Team
from hitl.accounts.permissions import IsPerson
from hitl.lib.errors import FieldError, Forbidden, InvalidInput, NotFound
from workflows import policy_books, trials
from workflows.api import filters, policy_examples, queries
from workflows.api import policy_serializers as shapes
from workflows.api.operations import Endpoint, operation
from workflows.api.pagination import page
from workflows.models import Policy, PolicyVersion
from workflows.policy_cast import Cast

POLICIES, RULES = "Policies", "Rules"
_POLICY: dict[str, Any] = {
    "tag": POLICIES,
    "permission": IsPerson,
    "answer": shapes.PolicySerializer,
    "answer_examples": {"Policy": policy_examples.POLICY},
}
_TRIAL: dict[str, Any] = {
    "permission": IsPerson,
    "query": shapes.TeamQuery,
    "answer": shapes.TrialSerializer,
    "answer_says": "What would have differed.",
    "answer_examples": {"One differs": policy_examples.TRIAL},
    "problems": ("not-found",),
}
_RULES: dict[str, Any] = {
    "tag": RULES,
    "permission": IsPerson,
    "query": shapes.TeamQuery,
    "answer": shapes.RulesSerializer,
    "answer_examples": {"Rules": policy_examples.RULES},
}


def represent(policy: Policy, cast: Cast | None = None) -> dict[str, Any]:
    """A policy as its managers see it; for lists, with everybody of the team at hand."""
    data: dict[str, Any] = shapes.PolicySerializer(policy, context={"cast": cast}).data
    return data


class Managers(Endpoint):
    """A path for managers. `team` is the one the request is about."""

    http_method_names = ("get", "post", "put", "delete", "head")

    @property
    def team(self) -> Team:
        """The team named in the query, or the only one the caller manages.

        Raises Forbidden for who manages none, NotFound for another team, InvalidInput where
        several could be meant.
        """
        rows = Membership.objects.filter(user=self.person, role=Role.MANAGER)
        teams = {row.team_id: row.team for row in rows.select_related("team")}
        wanted = self.params.get("teamId")
        if not teams:
            raise Forbidden("Only managers of a team may do this.")
        if wanted is not None:
            if wanted not in teams:
                raise NotFound("You manage no such team.")
            return teams[wanted]
        if len(teams) > 1:
            message = "You manage several teams: name one."
            raise InvalidInput(message, [FieldError("?teamId", message, "required")])
        return next(iter(teams.values()))

    def policy(self, policy_id: str) -> Policy:
        """The policy in the path, of any team that the caller manages."""
        try:
            wanted = queries.parse_uuid(policy_id)
        except ValueError:
            raise NotFound("There is no such policy.") from None
        row = Policy.objects.select_related("team").filter(
            pk=wanted, team__memberships__user=self.person
        )
        policy = row.first()
        if policy is None:
            raise NotFound("There is no such policy.")
        policy_books.require_editor(policy.team, self.person)
        return policy


class Policies(Managers):
    """`/api/v1/policies`."""

    @operation(
        id="listPolicies",
        summary="List policies",
        tag=POLICIES,
        permission=IsPerson,
        query=shapes.PolicyListQuery,
        answer=shapes.PolicyPageSerializer,
        answer_says="One page.",
        answer_examples={"Page": {"items": [policy_examples.POLICY], "nextCursor": None}},
        problems=("not-found",),
    )
    def get(self, request: Request) -> Response:
        """The policies of a team you manage, by name, each with what it says in plain words."""
        team = self.team
        rows = Policy.objects.filter(team=team).select_related("team")
        if "archived" in self.params:
            rows = rows.filter(archived_at__isnull=self.params["archived"] == "false")
        found = page(
            rows,
            filters.BY_NAME,
            limit=self.params["limit"],
            cursor=self.params.get("cursor", ""),
            read_id=queries.parse_uuid,
        )
        cast = Cast.of(team)
        items = [represent(policy, cast) for policy in found.items]
        return Response({"items": items, "nextCursor": found.next_cursor})

    @operation(
        id="createPolicy",
        summary="Make a policy",
        query=shapes.TeamQuery,
        body=shapes.NewPolicySerializer,
        status=201,
        answer_says="The policy in normal form, as version 1.",
        problems=("not-found",),
        body_examples={"Two of Finance, then the CFO": policy_examples.NEW},
        **_POLICY,
    )
    def post(self, request: Request) -> Response:
        """Nothing that is open changes: requests keep the policy they were made with.

        Everything it names has to be there: members of the team, its groups, the channels.
        """
        sent, team = self.read_body().validated_data, self.team
        with transaction.atomic():
            policy = _saved(team, sent, by=self.person)
            if sent.get("isDefault"):
                policy_books.make_default(team, policy.pk, by=self.person)
        return Response(represent(policy_books.find(team, policy.pk)), status=201)


class OnePolicy(Managers):
    """`/api/v1/policies/{id}`."""

    @operation(
        id="getPolicy", summary="Get a policy", answer_says="The policy as it stands.", **_POLICY
    )
    def get(self, request: Request, policy_id: str) -> Response:
        """Its newest version, what it says in plain words, and what uses it."""
        return Response(represent(self.policy(policy_id)))

    @operation(
        id="changePolicy",
        summary="Save a new version of a policy",
        body=shapes.PolicyChangeSerializer,
        answer_says="The policy as it stands now.",
        problems=("conflict",),
        body_examples={"Simpler": policy_examples.CHANGE},
        **_POLICY,
    )
    def put(self, request: Request, policy_id: str) -> Response:
        """Refused with 409 where somebody else has saved since `version`: read it again first.

        A new name is carried into the rules. An archived policy comes back into use. Saving what
        stands there already makes no version.
        """
        policy, sent = self.policy(policy_id), self.read_body().validated_data
        team, by = policy.team, self.person
        with transaction.atomic():
            _saved(team, sent, by=by, policy_id=policy.pk, version=sent["version"])
            policy_books.unarchive(team, policy.pk, by=by)
            if "isDefault" in sent and sent["isDefault"] != policy.is_default:
                policy_books.make_default(team, policy.pk if sent["isDefault"] else None, by=by)
        return Response(represent(policy_books.find(team, policy.pk)))

    @operation(
        id="archivePolicy",
        summary="Archive a policy",
        answer_says="The policy, archived.",
        problems=("conflict",),
        **_POLICY,
    )
    def delete(self, request: Request, policy_id: str) -> Response:
        """It can be named no more; open requests keep their copy. Saving brings it back.

        Refused with 409 while it is the default, or an action type or a rule uses it.
        """
        policy = self.policy(policy_id)
        return Response(represent(policy_books.archive(policy.team, policy.pk, by=self.person)))


class PolicyVersions(Managers):
    """`/api/v1/policies/{id}/versions`."""

    @operation(
        id="listPolicyVersions",
        summary="List the versions of a policy",
        tag=POLICIES,
        permission=IsPerson,
        query=shapes.VersionListQuery,
        answer=shapes.PolicyVersionPageSerializer,
        answer_says="One page.",
        answer_examples={"Page": {"items": [policy_examples.VERSION], "nextCursor": None}},
    )
    def get(self, request: Request, policy_id: str) -> Response:
        """Who saved what when, newest first. Versions are never changed or removed."""
        rows = PolicyVersion.objects.filter(policy=self.policy(policy_id))
        found = filters.newest_first(rows.select_related("created_by"), self.params)
        items = [shapes.PolicyVersionSerializer(row).data for row in found.items]
        return Response({"items": items, "nextCursor": found.next_cursor})


class TryPolicy(Managers):
    """`/api/v1/policies/dry-run`."""

    @operation(
        id="tryPolicy",
        summary="Try a policy on past requests",
        tag=POLICIES,
        body=shapes.PolicyTrialSerializer,
        body_examples={"On refunds": policy_examples.TRY},
        **_TRIAL,
    )
    def post(self, request: Request) -> Response:
        """Which of the newest requests the same answers would have ended otherwise, and why.

        Nothing is saved or sent. People are taken as they are now.
        """
        sent, team = self.read_body().validated_data, self.team
        try:
            document = policy_books.check_policy(sent["document"], Cast.of(team))
        except InvalidInput as error:
            raise _below(error, "/document") from None
        trial = trials.try_policy(
            team, document, action_type=sent.get("actionType", ""), last=sent["last"]
        )
        return Response(shapes.TrialSerializer(trial).data)


class Rules(Managers):
    """`/api/v1/rules`."""

    @operation(
        id="getRules",
        summary="Get the rules in force",
        answer_says="All rules of the team, in order.",
        problems=("not-found",),
        **_RULES,
    )
    def get(self, request: Request) -> Response:
        """What is decided without a person, and what needs which policy."""
        return Response(shapes.RulesSerializer(policy_books.rules_of(self.team)).data)

    @operation(
        id="changeRules",
        summary="Replace the rules",
        body=shapes.RulesChangeSerializer,
        answer_says="The rules as they are in force now.",
        problems=("not-found", "conflict"),
        body_examples={"One rule": policy_examples.CHANGE_RULES},
        **_RULES,
    )
    def put(self, request: Request) -> Response:
        """All rules of the team at once, since what one does depends on the others.

        Refused with 409 where somebody else has saved since `version`.
        """
        sent = self.read_body().validated_data
        try:
            saved = policy_books.save_rules(
                self.team,
                sent["rules"],
                by=self.person,
                expected_number=sent["version"],
                note=sent.get("note", ""),
            )
        except InvalidInput as error:
            raise _below(error, "/rules") from None
        return Response(shapes.RulesSerializer(saved).data)


class TryRules(Managers):
    """`/api/v1/rules/dry-run`."""

    @operation(
        id="tryRules",
        summary="Try rules on past requests",
        tag=RULES,
        body=shapes.RulesTrialSerializer,
        body_examples={"One rule": {"rules": policy_examples.CHANGE_RULES["rules"]}},
        **_TRIAL,
    )
    def post(self, request: Request) -> Response:
        """Which of the newest requests these rules would have treated otherwise than those in
        force. Nothing is saved; budgets are spent as they would have been.
        """
        sent, team = self.read_body().validated_data, self.team
        try:
            rules = policy_books.check_rules(team, sent["rules"])
        except InvalidInput as error:
            raise _below(error, "/rules") from None
        old = policy_books.rules_of(team).rules
        trial = trials.try_rules(team, old, rules, last=sent["last"])
        return Response(shapes.TrialSerializer(trial).data)


def _saved(
    team: Team,
    sent: dict[str, Any],
    *,
    by: Any,
    policy_id: UUID | None = None,
    version: int | None = None,
) -> Policy:
    try:
        return policy_books.save_policy(
            team,
            sent["document"],
            by=by,
            policy_id=policy_id,
            expected_version=version,
            note=sent.get("note", ""),
        )
    except InvalidInput as error:
        raise _below(error, "/document") from None


def _below(error: InvalidInput, root: str) -> InvalidInput:
    """The same with the places as the caller has sent them."""
    errors = [FieldError(root + each.pointer, each.message, each.code) for each in error.errors]
    return InvalidInput(error.detail, errors)
