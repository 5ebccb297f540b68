"""Policies, rules and dry runs over the API: for managers of a team, by their tokens."""

import json
from typing import Any

import pytest

from hitl.accounts.models import Agent, Role, Team, User
from hitl.accounts.services import add_member
from tests.workflows.api.callers import Caller, as_user, code, places
from tests.workflows.factories import decide, make_workflow
from tests.workflows.policy_samples import finance_then_cfo, group, one_approver, stage
from workflows.models import Policy, PolicyVersion

pytestmark = pytest.mark.django_db

POLICIES = "/api/v1/policies"
RULES = "/api/v1/rules"
DENY = {"name": "No", "when": "data.amount > 100", "then": "deny"}


@pytest.fixture
def mia(manager: User) -> Caller:
    """The manager, by JWT."""
    return as_user(manager)


def put(caller: Caller, path: str, body: Any) -> Any:
    return caller.client.put(
        path, json.dumps(body), content_type="application/json", headers=caller.headers
    )


def made(mia: Caller, document: Any = None, **more: Any) -> dict[str, Any]:
    answer = mia.post(POLICIES, {"document": document or one_approver()} | more)
    assert answer.status_code == 201, answer.content
    found: dict[str, Any] = answer.json()
    return found


class TestWhoMay:
    PATHS = (POLICIES, RULES, f"{POLICIES}/dry-run", f"{RULES}/dry-run")

    def test_only_managers_with_a_token_of_their_own(
        self, mia: Caller, ann: Caller, bot: Caller, nobody: Caller, viewer: User
    ) -> None:
        policy = made(mia)
        one = f"{POLICIES}/{policy['policyId']}"
        for caller, status in ((ann, 403), (as_user(viewer), 403), (bot, 403), (nobody, 401)):
            for path in (POLICIES, RULES, one, f"{one}/versions"):
                assert caller.get(path).status_code == status, path
            body = {"document": one_approver("X"), "version": 1}
            assert caller.post(POLICIES, {"document": one_approver("X")}).status_code == status
            assert put(caller, one, body).status_code == status
            assert caller.client.delete(one, headers=caller.headers).status_code == status
            assert put(caller, RULES, {"rules": [], "version": 0}).status_code == status
            trial = {"document": one_approver()}
            assert caller.post(f"{POLICIES}/dry-run", trial).status_code == status
            assert caller.post(f"{RULES}/dry-run", {"rules": []}).status_code == status
        assert Policy.objects.get().version == 1

    def test_policy_of_another_team_is_not_there(
        self, mia: Caller, stranger: User, team: Team
    ) -> None:
        one = f"{POLICIES}/{made(mia)['policyId']}"
        sue = as_user(stranger)
        assert code(sue.get(one)) == (404, "not-found")
        assert code(put(sue, one, {"document": one_approver(), "version": 1}))[0] == 404
        assert sue.get(POLICIES).json()["items"] == []
        assert code(mia.get(POLICIES, {"teamId": str(stranger.teams.get().pk)}))[0] == 404

    def test_manager_of_several_teams_names_one(
        self, mia: Caller, manager: User, stranger: User, team: Team
    ) -> None:
        elsewhere = stranger.teams.get()
        add_member(elsewhere, manager, Role.MANAGER)
        answer = mia.get(POLICIES)
        assert (answer.status_code, places(answer)) == (400, ["?teamId"])
        path = f"{POLICIES}?teamId={elsewhere.pk}"
        assert mia.post(path, {"document": one_approver()}).status_code == 201
        assert Policy.objects.get().team == elsewhere
        assert mia.get(POLICIES, {"teamId": str(team.pk)}).json()["items"] == []


class TestPolicies:
    def test_policy_is_made_and_told_in_words(
        self, mia: Caller, team: Team, manager: User, colleague: User
    ) -> None:
        group(team, "Finance", manager, colleague)
        policy = made(mia, finance_then_cfo(manager, colleague), note="As agreed")
        assert policy["inWords"][0] == (
            "Two of Finance, then Mia Manager if amount is more than 10,000."
        )
        assert (policy["version"], policy["isDefault"], policy["usedBy"]) == (1, False, [])
        assert policy["document"]["stages"][0]["onReject"] == "deny"
        assert mia.get(f"{POLICIES}/{policy['policyId']}").json() == policy
        assert mia.get(POLICIES).json()["items"] == [policy]
        assert PolicyVersion.objects.get().note == "As agreed"

    def test_faults_name_their_place_in_the_body(self, mia: Caller) -> None:
        document = {"name": "P", "stages": [stage("S", {"group": "nobody"}, remindrs=[])]}
        answer = mia.post(POLICIES, {"document": document})
        assert (answer.status_code, places(answer)) == (400, ["/document/stages/0/remindrs"])
        document = {"name": "P", "stages": [stage("S", {"group": "nobody"})]}
        answer = mia.post(POLICIES, {"document": document})
        assert places(answer) == ["/document/stages/0/need/who/group"]
        assert places(mia.post(POLICIES, {"document": 5, "x": 1})) == ["/document", "/x"]

    def test_new_version_needs_the_one_that_was_read(self, mia: Caller) -> None:
        one = f"{POLICIES}/{made(mia)['policyId']}"
        changed = {"document": one_approver() | {"timeoutSeconds": 60}, "version": 1}
        assert put(mia, one, changed).json()["version"] == 2
        stale = put(mia, one, {"document": one_approver(), "version": 1})
        assert code(stale) == (409, "conflict")
        assert "has saved version 2" in stale.json()["detail"]
        assert places(put(mia, one, {"document": one_approver()})) == ["/version"]
        versions = mia.get(f"{one}/versions", {"limit": 1}).json()
        assert [v["version"] for v in versions["items"]] == [2]
        more = mia.get(f"{one}/versions", {"cursor": versions["nextCursor"]}).json()
        assert [(v["version"], v["createdBy"]) for v in more["items"]] == [(1, "Mia Manager")]

    def test_archiving_and_coming_back(self, mia: Caller) -> None:
        one = f"{POLICIES}/{made(mia, isDefault=True)['policyId']}"
        refused = mia.client.delete(one, headers=mia.headers)
        assert code(refused) == (409, "conflict")
        plain = {"document": one_approver(), "version": 1, "isDefault": False}
        assert put(mia, one, plain).json()["isDefault"] is False
        assert mia.client.delete(one, headers=mia.headers).json()["archivedAt"]
        assert mia.get(POLICIES, {"archived": "false"}).json()["items"] == []
        assert len(mia.get(POLICIES, {"archived": "true"}).json()["items"]) == 1
        back = put(mia, one, {"document": one_approver(), "version": 1})
        assert back.json()["archivedAt"] is None

    def test_nothing_is_saved_where_a_part_is_refused(
        self, mia: Caller, team: Team, manager: User
    ) -> None:
        finance = group(team, "Finance", manager)
        document = {"name": "P", "stages": [stage("S", {"group": "finance"})]}
        one = f"{POLICIES}/{made(mia, document)['policyId']}"
        finance.delete()
        assert put(mia, one, {"document": document, "version": 1}).status_code == 400
        assert Policy.objects.get().version == 1

    @pytest.mark.parametrize("id_", ["x", "0", "019AAF27-7d2f-7c7b-8a5e-1b2c3d4e5f73"])
    def test_unknown_ids(self, mia: Caller, id_: str) -> None:
        assert code(mia.get(f"{POLICIES}/{id_}")) == (404, "not-found")

    def test_methods_that_are_not_there(self, mia: Caller) -> None:
        assert code(put(mia, POLICIES, {})) == (405, "method-not-allowed")
        assert code(mia.post(RULES, {})) == (405, "method-not-allowed")


class TestRules:
    def test_rules_are_replaced_as_a_whole(self, mia: Caller) -> None:
        empty = mia.get(RULES).json()
        assert (empty["version"], empty["rules"], empty["createdAt"]) == (0, [], None)
        saved = put(mia, RULES, {"rules": [DENY], "version": 0, "note": "First"}).json()
        assert (saved["version"], saved["note"], saved["createdBy"]) == (1, "First", "Mia Manager")
        assert saved["inWords"] == [
            "If amount is more than 100, it is rejected without asking anybody."
        ]
        assert mia.get(RULES).json() == saved
        assert code(put(mia, RULES, {"rules": [], "version": 0})) == (409, "conflict")
        assert put(mia, RULES, {"rules": [], "version": 1}).json()["rules"] == []

    def test_faults_name_their_place_in_the_body(self, mia: Caller) -> None:
        rules = [DENY, DENY | {"name": "Two", "when": "amount > 1"}]
        answer = put(mia, RULES, {"rules": rules, "version": 0})
        assert (answer.status_code, places(answer)) == (400, ["/rules/1/when"])


class TestTrying:
    def test_policy(self, mia: Caller, agent: Agent, approver: User) -> None:
        workflow = decide(make_workflow(agent), approver).workflow
        two = {"name": "Two", "stages": [stage("S", {"team": "approvers"}, 2)]}
        found = mia.post(f"{POLICIES}/dry-run", {"document": two}).json()
        assert found["tried"] == 1
        assert found["summary"] == "The last request would have gone another way."
        assert found["differences"] == [
            {
                "workflowId": str(workflow.pk),
                "name": "Refund order A-1009",
                "before": "Approved",
                "after": "Not decided by these answers",
                "why": ["Stage 'S': 1 of 2, waiting for the approvers."],
            }
        ]
        only = {"document": two, "actionType": "another.type", "last": 5}
        assert mia.post(f"{POLICIES}/dry-run", only).json()["tried"] == 0
        assert not Policy.objects.exists()

    def test_rules(self, mia: Caller, agent: Agent, approver: User) -> None:
        make_workflow(agent)
        found = mia.post(f"{RULES}/dry-run", {"rules": [DENY]}).json()
        assert found["differences"][0]["after"] == "Rejected by a rule"
        assert found["outcomes"] == [
            {"outcome": "Rejected by a rule", "before": 0, "after": 1},
            {"outcome": "People are asked", "before": 1, "after": 0},
        ]
        assert mia.get(RULES).json()["version"] == 0

    @pytest.mark.parametrize("last", [0, 1001, "5", 2.5])
    def test_bounds(self, mia: Caller, last: Any) -> None:
        answer = mia.post(f"{POLICIES}/dry-run", {"document": one_approver(), "last": last})
        assert places(answer) == ["/last"]
