"""Who reaches what: every operation of the document, for every kind of caller."""

from typing import Any
from uuid import uuid4

import pytest
from drf_spectacular.generators import SchemaGenerator

from events.models import Event
from hitl.accounts.models import Agent, Role, User
from hitl.accounts.services import add_member
from tests.accounts.factories import AgentFactory, TeamFactory, UserFactory
from tests.workflows.api.callers import WORKFLOWS, Caller, as_agent, as_user
from tests.workflows.factories import ActionTypeFactory
from workflows.models import Workflow

Operation = tuple[str, str, str]  # method, path, operationId
PUBLIC = {"ping", "health", "getSigningKeys"}
BODIES: dict[str, Any] = {
    "createWorkflow": {"actionType": "a.b", "actionData": {}},
    "createWorkflowAtSeedPath": {"actionType": "a.b", "actionData": {}},
    "settleWorkflow": {"outcome": "completed", "note": "x"},
    "heartbeatExecution": {"attempt": 1},
    "completeExecution": {"attempt": 1},
    "failExecution": {"attempt": 1, "error": {}},
    "extendDeadline": {"expiresAt": "2030-01-01T00:00:00Z"},
    "handOverWorkflow": {"to": "0c0c0c0c-0000-4000-8000-000000000000"},
    "addRemark": {"kind": "comment", "text": "x"},
    "verifyReceipt": {"receipt": "x"},
    "consumeReceipt": {"receipt": "x"},
    "rollBackWorkflow": {"toSeq": 1, "reason": "x"},
}

AT_THE_DOOR = (
    "Only an agent may do this", "Only a person may do this", "This API key lacks the scope",
)  # fmt: skip
AGENT, PEOPLE, BOTH = {"agent"}, {"approver", "viewer"}, {"agent", "approver", "viewer"}
# The published table: who gets past the door of an operation.
DOORS: dict[str, set[str]] = {
    "listWorkflows": BOTH, "createWorkflow": AGENT, "createWorkflowAtSeedPath": AGENT,
    "getWorkflow": BOTH, "cancelWorkflow": AGENT, "listEvents": BOTH, "getApprovedData": BOTH,
    "readFeed": BOTH, "streamFeed": BOTH, "exportWorkflow": BOTH,
    "decideWorkflow": PEOPLE, "settleWorkflow": PEOPLE, "startExecution": AGENT,
    "heartbeatExecution": AGENT, "completeExecution": AGENT, "failExecution": AGENT,
    "listActionTypes": BOTH, "listDeliveries": BOTH, "retryDelivery": PEOPLE,
    "withdrawDecision": PEOPLE, "handOverWorkflow": PEOPLE, "claimWorkflow": PEOPLE,
    "releaseWorkflow": PEOPLE, "decideBatch": PEOPLE, "extendDeadline": BOTH,
    "listRemarks": BOTH, "addRemark": BOTH,
    "issueReceipt": AGENT, "verifyReceipt": BOTH, "consumeReceipt": AGENT,
    "listSnapshots": BOTH, "getSnapshot": BOTH, "diffSnapshots": BOTH, "rollBackWorkflow": PEOPLE,
    "getStatistics": BOTH,
    "listPolicies": PEOPLE, "createPolicy": PEOPLE, "getPolicy": PEOPLE, "changePolicy": PEOPLE,
    "archivePolicy": PEOPLE, "listPolicyVersions": PEOPLE, "tryPolicy": PEOPLE,
    "getRules": PEOPLE, "changeRules": PEOPLE, "tryRules": PEOPLE,
    # Agents too, with a scope that no key has unless it was asked for.
    "listWebhooks": PEOPLE, "createWebhook": PEOPLE, "getWebhook": PEOPLE,
    "changeWebhook": PEOPLE, "deleteWebhook": PEOPLE, "rotateWebhookSecret": PEOPLE,
    "testWebhook": PEOPLE, "replayWebhook": PEOPLE, "listWebhookMessages": PEOPLE,
    "getWebhookMessage": PEOPLE, "resendWebhookMessage": PEOPLE,
}  # fmt: skip


def operations() -> list[Operation]:
    generator: Any = SchemaGenerator  # untyped
    paths = generator().get_schema(request=None, public=True)["paths"]
    return [
        (method.upper(), path, declared["operationId"])
        for path, methods in paths.items()
        for method, declared in methods.items()
        if declared["operationId"] not in PUBLIC
    ]


ALL = operations()
OF_ONE = [each for each in ALL if "{workflowId}" in each[1]]


def call(caller: Caller, operation: Operation, workflow: dict[str, Any]) -> Any:
    method, path, name = operation
    path = path.replace("{workflowId}", workflow["workflowId"]).replace("{seq}", "1")
    if method == "GET":
        return caller.get(path, {"from": 1, "to": 1} if name == "diffSnapshots" else None)
    if method != "POST":
        return caller.other(method, path, BODIES.get(name))
    decision = {"decision": "approved", "fingerprint": workflow["fingerprint"]}
    return caller.post(path, decision if name == "decideWorkflow" else BODIES.get(name))


def told(answer: Any) -> dict[str, Any]:
    """The answer without what differs from request to request."""
    content: dict[str, Any] = answer.json()
    return {key: content[key] for key in content if key not in ("instance", "requestId")}


@pytest.fixture
def far_agent(db: None) -> Agent:
    """An agent of another team that has somebody to ask."""
    team = TeamFactory()
    add_member(team, UserFactory(), Role.MANAGER)
    return AgentFactory(team=team)


@pytest.fixture
def theirs(far_agent: Agent) -> dict[str, Any]:
    return as_agent(far_agent).create()


def test_the_table_is_complete() -> None:
    assert {name for _, _, name in ALL} == set(DOORS)


@pytest.mark.parametrize("operation", ALL, ids=lambda each: each[2])
class TestDoors:
    def test_let_in_whom_the_table_names(
        self, operation: Operation, bot: Caller, ann: Caller, viewer: User
    ) -> None:
        workflow = bot.create()
        callers = {"agent": bot, "approver": ann, "viewer": as_user(viewer)}
        for name, caller in callers.items():
            answer = call(caller, operation, workflow)
            refused = answer.status_code == 403 and answer.json()["detail"].startswith(AT_THE_DOOR)
            assert refused == (name not in DOORS[operation[2]]), (name, answer.content)

    def test_nobody_gets_in_without_credentials(self, operation: Operation, bot: Caller) -> None:
        workflow = bot.create()
        for caller in (Caller(), Caller({"Authorization": "Bearer x"})):
            answer = call(caller, operation, workflow)
            assert answer.status_code == 401
            assert "WWW-Authenticate" in answer.headers


@pytest.mark.parametrize("operation", OF_ONE, ids=lambda each: each[2])
class TestTeams:
    def test_anothers_workflow_looks_like_none(
        self, operation: Operation, theirs: dict[str, Any], bot: Caller, ann: Caller
    ) -> None:
        nothing = theirs | {"workflowId": str(uuid4())}
        events = Event.objects.count()
        for caller in (bot, ann):
            answer, absent = call(caller, operation, theirs), call(caller, operation, nothing)
            assert answer.status_code in (403, 404)
            assert told(answer) == told(absent)
        assert Event.objects.count() == events
        assert Workflow.objects.get(pk=theirs["workflowId"]).status == "PENDING"


def test_lists_show_ones_own_team_only(
    bot: Caller, ann: Caller, theirs: dict[str, Any], far_agent: Agent
) -> None:
    ours = bot.create()
    ActionTypeFactory(team=far_agent.team, name="secret.type")
    for caller in (bot, ann):
        found = caller.get(WORKFLOWS).json()["items"]
        assert [row["workflowId"] for row in found] == [ours["workflowId"]]
        assert caller.get(WORKFLOWS, {"agentId": str(far_agent.pk)}).json()["items"] == []
        assert caller.get("/api/v1/action-types").json()["items"] == []


def test_a_person_in_two_teams_sees_both(
    bot: Caller, approver: User, theirs: dict[str, Any], far_agent: Agent
) -> None:
    ours = bot.create()
    add_member(far_agent.team, approver, Role.VIEWER)
    found = as_user(approver).get(WORKFLOWS).json()["items"]
    assert {row["workflowId"] for row in found} == {ours["workflowId"], theirs["workflowId"]}


def test_a_cursor_of_another_team_shows_nothing_of_it(bot: Caller, far_agent: Agent) -> None:
    for _ in range(2):
        as_agent(far_agent).create()
    cursor = as_agent(far_agent).get(WORKFLOWS, {"limit": 1}).json()["nextCursor"]
    assert bot.get(WORKFLOWS, {"cursor": cursor}).json() == {"items": [], "nextCursor": None}


def test_reading_changes_nothing(bot: Caller, ann: Caller) -> None:
    """I15: safe methods leave everything as it is, whoever asks and how often."""
    workflow = bot.create()
    before = list(Workflow.objects.values()), Event.objects.count()
    for operation in ALL:
        if operation[0] == "GET":
            for caller in (bot, ann, Caller()):
                call(caller, operation, workflow)
    assert (list(Workflow.objects.values()), Event.objects.count()) == before
