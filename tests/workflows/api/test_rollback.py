"""States and rollback on the wire."""

from typing import Any

import pytest

from hitl.accounts.models import Agent, User
from tests.workflows.api.callers import (
    WORKFLOWS,
    Caller,
    approved,
    as_agent,
    as_user,
    code,
    decide,
    places,
)
from tests.workflows.factories import ActionTypeFactory
from workflows.models import Decision

pytestmark = pytest.mark.django_db


def path(workflow: dict[str, Any], rest: str) -> str:
    return f"{WORKFLOWS}/{workflow['workflowId']}/{rest}"


@pytest.fixture
def rejected(bot: Caller, ann: Caller) -> dict[str, Any]:
    workflow = bot.create()
    assert decide(ann, workflow, "rejected", feedback="no").status_code == 200
    return workflow


def test_states_in_pages(bot: Caller, rejected: dict[str, Any]) -> None:
    first = bot.get(path(rejected, "snapshots"), {"limit": 1}).json()
    assert [row["type"] for row in first["items"]] == ["workflow.created"]
    rest = bot.get(path(rejected, "snapshots"), {"after": first["nextAfter"]}).json()
    assert rest["items"][-1]["status"] == "REJECTED"
    assert rest["nextAfter"] is None
    assert "stateSnapshot" not in rest["items"][0]


def test_one_state_is_complete(ann: Caller, rejected: dict[str, Any]) -> None:
    state = ann.get(path(rejected, "snapshots/1")).json()
    assert state["stateSnapshot"]["actionData"] == rejected["actionData"]
    for absent in ("99", "0", "x", "-1", "99999999999999999999", "\u0661"):
        assert code(ann.get(path(rejected, f"snapshots/{absent}"))) == (404, "not-found")


def test_difference_of_two_states(ann: Caller, rejected: dict[str, Any]) -> None:
    found = ann.get(path(rejected, "snapshots/diff"), {"from": 1, "to": 2}).json()
    assert {"op": "replace", "path": "/status", "value": "REJECTED"} in found["operations"]
    assert "Status" in {row["label"] for row in found["changes"]}
    assert (found["older"]["seq"], found["newer"]["seq"]) == (1, 2)
    assert code(ann.get(path(rejected, "snapshots/diff"), {"from": 1, "to": 9})) == (
        404, "not-found",
    )  # fmt: skip
    answer = ann.get(path(rejected, "snapshots/diff"), {"from": 1})
    assert places(answer) == ["?to"]


def test_asking_again(bot: Caller, ann: Caller, rejected: dict[str, Any]) -> None:
    body = {"toSeq": 1, "reason": "New photos", "round": 1}
    answer = ann.post(path(rejected, "rollback"), body)
    assert answer.status_code == 200
    content = answer.json()
    assert (content["outcome"], content["compensation"]) == ("asked-again", None)
    assert (content["workflow"]["status"], content["workflow"]["round"]) == ("PENDING", 2)
    assert content["workflow"]["feedback"] == ""
    assert code(ann.post(path(rejected, "rollback"), body)) == (409, "illegal-transition")


def test_decision_of_the_earlier_round_is_refused(ann: Caller, rejected: dict[str, Any]) -> None:
    ann.post(path(rejected, "rollback"), {"toSeq": 1, "reason": "x"})
    again = decide(ann, rejected, "rejected", feedback="no")
    assert code(again) == (409, "asked-again")
    assert again.json()["workflowStatus"] == "PENDING"
    assert code(decide(ann, rejected, round=1)) == (409, "asked-again")
    item = {"workflowId": rejected["workflowId"], "fingerprint": rejected["fingerprint"]}
    batch = ann.post("/api/v1/decisions/batch", {"decision": "approved", "items": [item]}).json()
    assert batch["results"][0]["code"] == "asked-again"
    assert Decision.objects.count() == 1
    assert decide(ann, rejected, round=2).json()["workflow"]["status"] == "APPROVED"


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"reason": "x"}, "/toSeq"),
        ({"toSeq": 1}, "/reason"),
        ({"toSeq": "1", "reason": "x"}, "/toSeq"),
        ({"toSeq": 0, "reason": "x"}, "/toSeq"),
        ({"toSeq": 99, "reason": "x"}, "/toSeq"),
        ({"toSeq": 1, "reason": " "}, "/reason"),
        ({"toSeq": 1, "reason": "x", "force": True}, "/force"),
        ({"toSeq": 1, "reason": "x", "acknowledgeUnknownEffects": "yes"},
         "/acknowledgeUnknownEffects"),
    ],
)  # fmt: skip
def test_input_is_strict(
    ann: Caller, rejected: dict[str, Any], body: dict[str, Any], place: str
) -> None:
    answer = ann.post(path(rejected, "rollback"), body)
    assert (code(answer), places(answer)) == ((400, "validation"), [place])


def test_running_again_is_for_managers(
    bot: Caller, ann: Caller, manager: User, agent: Agent
) -> None:
    execution = approved(bot, ann)
    row = execution.removesuffix("/execution")
    bot.post(f"{execution}/start")
    bot.post(f"{execution}/fail", {"attempt": 1, "error": {"message": "no"}})
    states = bot.get(f"{row}/snapshots").json()["items"]
    seq = next(state["seq"] for state in states if state["status"] == "APPROVED")
    body = {"toSeq": seq, "reason": "Down", "acknowledgeUnknownEffects": True}
    assert code(ann.post(f"{row}/rollback", body)) == (403, "forbidden")
    mia = as_user(manager)
    unaware = mia.post(f"{row}/rollback", body | {"acknowledgeUnknownEffects": False})
    assert places(unaware) == ["/acknowledgeUnknownEffects"]
    assert mia.post(f"{row}/rollback", body).json()["outcome"] == "run-again"
    assert bot.post(f"{execution}/start").json()["attempt"] == 2
    assert code(bot.post(f"{execution}/complete", {"attempt": 1})) == (409, "execution-conflict")


def test_agents_roll_nothing_back(rejected: dict[str, Any], agent: Agent) -> None:
    answer = as_agent(agent).post(path(rejected, "rollback"), {"toSeq": 1, "reason": "x"})
    assert code(answer) == (403, "forbidden")


def test_compensation_comes_with_the_answer(bot: Caller, ann: Caller, agent: Agent) -> None:
    undo = ActionTypeFactory(team=agent.team, name="payments.charge")
    ActionTypeFactory(team=agent.team, name="payments.refund", compensation=undo)
    kinds = bot.get("/api/v1/action-types").json()["items"]
    declared = {row["name"]: row["compensation"] for row in kinds}
    assert declared == {"payments.charge": None, "payments.refund": "payments.charge"}
    execution = approved(bot, ann)
    row = execution.removesuffix("/execution")
    bot.post(f"{execution}/start")
    bot.post(f"{execution}/complete", {"attempt": 1, "result": {"id": "re_1"}})
    # Ann is the only approver: whoever asks for it does not approve it.
    alone = ann.post(f"{row}/rollback", {"toSeq": 1, "reason": "Wrong customer"})
    assert (code(alone), places(alone)) == ((400, "validation"), ["/toSeq"])


def test_compensation_is_linked_both_ways(
    bot: Caller, ann: Caller, agent: Agent, colleague: User
) -> None:
    undo = ActionTypeFactory(team=agent.team, name="payments.charge")
    ActionTypeFactory(team=agent.team, name="payments.refund", compensation=undo)
    execution = approved(bot, ann)
    row = execution.removesuffix("/execution")
    bot.post(f"{execution}/start")
    bot.post(f"{execution}/complete", {"attempt": 1, "result": {"id": "re_1"}})
    content = ann.post(f"{row}/rollback", {"toSeq": 1, "reason": "Wrong customer"}).json()
    asked = content["compensation"]
    assert content["workflow"]["status"] == "COMPLETED"
    assert asked["compensates"] == content["workflow"]["workflowId"]
    assert content["workflow"]["compensation"] == asked["workflowId"]
    assert asked["actionData"]["result"] == {"id": "re_1"}
