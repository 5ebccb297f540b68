"""The API around a decision: who may call what, what comes back, and how refusals read."""

import datetime as dt
from typing import Any

import pytest

from hitl.accounts.models import Agent, Team, User
from tests.workflows.api.callers import WORKFLOWS, Caller, as_agent, as_user, code, decide, places
from tests.workflows.policy_samples import stage
from tests.workflows.test_deciding import adopt
from workflows.api.longpoll import is_reached
from workflows.models import Workflow

pytestmark = pytest.mark.django_db
BATCH = "/api/v1/decisions/batch"


def path(workflow: dict[str, Any], what: str = "") -> str:
    return f"{WORKFLOWS}/{workflow['workflowId']}" + (f"/{what}" if what else "")


def later(workflow: dict[str, Any], hours: float) -> str:
    return (
        dt.datetime.fromisoformat(workflow["expiresAt"]) + dt.timedelta(hours=hours)
    ).isoformat()


@pytest.fixture
def carl(colleague: User) -> Caller:
    return as_user(colleague)


@pytest.fixture
def two(team: Team, approver: User, colleague: User) -> None:
    """Everything asks two approvers, and deadlines can be moved by a day."""
    adopt(team, stage("Two", {"team": "approvers"}, 2, extendMax=86_400))


# --- Taking back, more time ----------------------------------------------------------------------


def test_taking_an_answer_back(two: None, bot: Caller, ann: Caller) -> None:
    workflow = bot.create()
    decide(ann, workflow)
    answer = ann.post(path(workflow, "withdraw"), {"reason": "I misread it."})
    assert answer.status_code == 200
    assert answer.json()["status"] == "PENDING"
    assert code(ann.post(path(workflow, "withdraw"))) == (403, "forbidden")


def test_after_the_verdict_nothing_is_taken_back(bot: Caller, ann: Caller) -> None:
    workflow = bot.create()
    decide(ann, workflow)
    assert code(ann.post(path(workflow, "withdraw"))) == (409, "already-decided")


def test_people_and_the_agent_move_the_deadline(two: None, bot: Caller, ann: Caller) -> None:
    workflow = bot.create()
    answer = bot.post(path(workflow, "extend"), {"expiresAt": later(workflow, 1)})
    assert answer.status_code == 200
    assert answer.json()["expiresAt"] != workflow["expiresAt"]
    assert ann.post(path(workflow, "extend"), {"expiresAt": later(workflow, 2)}).status_code == 200
    refused = ann.post(path(workflow, "extend"), {"expiresAt": later(workflow, 30)})
    assert code(refused) == (400, "validation")
    assert places(refused) == ["/expiresAt"]
    assert "at the latest" in refused.json()["detail"]


def test_another_agent_moves_nothing(two: None, team: Team, bot: Caller) -> None:
    workflow = bot.create()
    other = as_agent(Agent.objects.create(team=team, name="other-bot"))
    refused = other.post(path(workflow, "extend"), {"expiresAt": later(workflow, 1)})
    assert code(refused) == (403, "forbidden")


# --- Handing over, claiming ----------------------------------------------------------------------


def test_handing_over(
    team: Team, approver: User, colleague: User, bot: Caller, ann: Caller, carl: Caller
) -> None:
    adopt(team, stage("Ann", {"users": [str(approver.pk)]}))
    workflow = bot.create()
    answer = ann.post(path(workflow, "hand-over"), {"to": str(colleague.pk), "reason": "Yours."})
    assert answer.status_code == 200
    refused = carl.post(path(workflow, "hand-over"), {"to": str(approver.pk)})
    assert (code(refused), places(refused)) == ((400, "validation"), ["/to"])
    assert decide(carl, workflow).json()["workflow"]["status"] == "APPROVED"


def test_claiming_and_releasing(bot: Caller, ann: Caller, carl: Caller) -> None:
    workflow = bot.create()
    assert ann.post(path(workflow, "claim")).json()["claimedBy"] == {
        "name": "Ann Approver",
        "email": "ann@example.com",
    }
    assert bot.get(path(workflow)).json()["claimedBy"] == {"name": "Ann Approver"}
    assert code(carl.post(path(workflow, "claim"))) == (409, "claimed")
    assert code(carl.post(path(workflow, "release"))) == (403, "forbidden")
    assert ann.post(path(workflow, "release")).json()["claimedBy"] is None
    assert carl.post(path(workflow, "claim")).status_code == 200


@pytest.mark.parametrize("what", ["withdraw", "hand-over", "claim", "release"])
def test_agents_and_strangers_do_none_of_this(
    bot: Caller, nobody: Caller, stranger: User, approver: User, what: str
) -> None:
    workflow = bot.create()
    body = {"to": str(approver.pk)} if what == "hand-over" else {}
    assert code(bot.post(path(workflow, what), body)) == (403, "forbidden")
    assert code(nobody.post(path(workflow, what), body)) == (401, "unauthenticated")
    assert code(as_user(stranger).post(path(workflow, what), body)) == (404, "not-found")


# --- Words ---------------------------------------------------------------------------------------


def test_a_question_and_its_answer(bot: Caller, ann: Caller) -> None:
    workflow = bot.create()
    asked = ann.post(path(workflow, "remarks"), {"kind": "question", "text": "Which lamp?"})
    assert asked.status_code == 201
    assert bot.get(path(workflow)).json()["openQuestions"] == 1
    assert bot.get(WORKFLOWS).json()["items"][0]["openQuestions"] == 1
    question = asked.json()["remarkId"]
    body = {"kind": "answer", "questionId": question, "text": "The tall one."}
    assert bot.post(path(workflow, "remarks"), body).status_code == 201
    assert bot.post(path(workflow, "remarks"), body).status_code == 201
    assert code(bot.post(path(workflow, "remarks"), body | {"text": "No."})) == (409, "answered")
    assert bot.get(path(workflow)).json()["openQuestions"] == 0
    seen = bot.get(path(workflow, "remarks")).json()["items"]
    assert [(one["kind"], one["by"]["name"]) for one in seen] == [
        ("question", "Ann Approver"),
        ("answer", "refund-bot"),
    ]
    assert "email" not in seen[0]["by"]
    assert ann.get(path(workflow, "remarks")).json()["items"][0]["by"]["email"]


def test_who_says_what(bot: Caller, ann: Caller, viewer: User, stranger: User) -> None:
    workflow = bot.create()
    remarks = path(workflow, "remarks")
    comment = {"kind": "comment", "text": "Fine."}
    assert code(bot.post(remarks, comment)) == (403, "forbidden")
    assert code(as_user(viewer).post(remarks, comment)) == (403, "forbidden")
    assert code(as_user(stranger).post(remarks, comment)) == (404, "not-found")
    assert code(as_user(stranger).get(remarks)) == (404, "not-found")
    assert ann.post(remarks, comment).status_code == 201
    answer = {"kind": "answer", "text": "Me.", "questionId": workflow["workflowId"]}
    assert code(ann.post(remarks, answer)) == (403, "forbidden")
    assert code(bot.post(remarks, answer)) == (404, "not-found")
    readonly = as_agent(Agent.objects.get(), "read")
    assert code(readonly.post(remarks, answer)) == (403, "forbidden")


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"kind": "comment", "text": " "}, "/text"),
        ({"kind": "comment", "text": "x" * 5001}, "/text"),
        ({"kind": "shout", "text": "x"}, "/kind"),
        ({"kind": "answer", "text": "x"}, "/questionId"),
        ({"kind": "comment", "text": "x", "questionId": "01a2"}, "/questionId"),
        ({"kind": "comment", "text": "x", "loud": True}, "/loud"),
    ],
)
def test_remarks_that_are_none(bot: Caller, ann: Caller, body: Any, place: str) -> None:
    refused = ann.post(path(bot.create(), "remarks"), body)
    assert code(refused) == (400, "validation")
    assert place in places(refused)


def test_waiting_for_a_question(bot: Caller, ann: Caller) -> None:
    workflow = bot.create()
    wish = {"wait": "1", "until": "asked"}
    assert "Retry-After" in bot.get(path(workflow), wish)
    ann.post(path(workflow, "remarks"), {"kind": "question", "text": "Which lamp?"})
    assert "Retry-After" not in bot.get(path(workflow), wish)
    assert "Retry-After" in bot.get(path(workflow), {"wait": "1"})
    assert is_reached("APPROVED", "asked")
    assert is_reached("PENDING", "asked", asked=True)
    assert not is_reached("PENDING", "decided", asked=True)
    assert not is_reached("APPROVED", "settled", asked=True)


# --- Batches -------------------------------------------------------------------------------------


def item(workflow: dict[str, Any], **changes: Any) -> dict[str, Any]:
    seen = {"workflowId": workflow["workflowId"], "fingerprint": workflow["fingerprint"]}
    return seen | changes


def test_each_gets_a_result_of_its_own(bot: Caller, ann: Caller, carl: Caller, team: Team) -> None:
    good, taken, changed = bot.create(), bot.create(), bot.create()
    decide(carl, taken)
    wrong = item(changed, fingerprint="sha256:" + "0" * 64)
    missing = item(good, workflowId="01a2097e-0000-7000-8000-000000000000")
    answer = ann.post(
        BATCH, {"decision": "approved", "items": [item(good), item(taken), wrong, missing]}
    )
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [(one["recorded"], one["code"], one["status"]) for one in results] == [
        (True, "", "APPROVED"),
        (False, "already-decided", "APPROVED"),
        (False, "digest-mismatch", "PENDING"),
        (False, "not-found", None),
    ]
    assert "Carl Colleague" in results[1]["detail"]


def test_high_risk_is_never_approved_together(bot: Caller, ann: Caller) -> None:
    workflow = bot.create()
    Workflow.objects.update(risk="high")
    body = {"decision": "approved", "items": [item(workflow)]}
    [result] = ann.post(BATCH, body).json()["results"]
    assert (result["recorded"], result["code"]) == (False, "high-risk")
    assert Workflow.objects.get().status == "PENDING"
    [result] = ann.post(BATCH, body | {"decision": "rejected", "feedback": "No."}).json()["results"]
    assert result["status"] == "REJECTED"


def test_not_yours(bot: Caller, viewer: User, stranger: User) -> None:
    workflow = bot.create()
    body = {"decision": "approved", "items": [item(workflow)]}
    assert as_user(viewer).post(BATCH, body).json()["results"][0]["code"] == "forbidden"
    assert as_user(stranger).post(BATCH, body).json()["results"][0]["code"] == "not-found"
    assert code(bot.post(BATCH, body)) == (403, "forbidden")
    assert Workflow.objects.get().status == "PENDING"


def test_a_policy_may_want_a_second_factor_for_each(team: Team, bot: Caller, ann: Caller) -> None:
    adopt(team, stage("Any", {"team": "approvers"}, stepUp=["medium"]))
    workflow = bot.create()
    body = {"decision": "approved", "items": [item(workflow)]}
    assert ann.post(BATCH, body).json()["results"][0]["code"] == "step-up-needed"


def test_batches_that_are_none(bot: Caller, ann: Caller) -> None:
    one, other = bot.create(), bot.create(actionType="email.send")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"decision": "approved", "items": []}, "/items"),
        ({"decision": "approved", "items": [item(one)] * 51}, "/items"),
        ({"decision": "approved", "items": [item(one), item(one)]}, "/items"),
        ({"decision": "approved", "items": [item(one), item(other)]}, "/items"),
        ({"decision": "modified", "items": [item(one)]}, "/decision"),
        ({"decision": "rejected", "items": [item(one)]}, "/feedback"),
        ({"decision": "approved", "items": [item(one, extra=1)]}, "/items/0/extra"),
    ]
    for body, place in cases:
        refused = ann.post(BATCH, body)
        assert code(refused) == (400, "validation"), body
        assert place in places(refused)
    assert Workflow.objects.filter(status="PENDING").count() == 2


def test_the_same_batch_twice_changes_nothing(two: None, bot: Caller, ann: Caller) -> None:
    rows = [bot.create() for _ in range(3)]
    body = {"decision": "approved", "items": [item(one, stage=0) for one in rows]}
    first, second = ann.post(BATCH, body).json(), ann.post(BATCH, body).json()
    ids = [one["decisionId"] for one in first["results"]]
    assert [one["decisionId"] for one in second["results"]] == ids
    assert not any(one["isEffective"] for one in first["results"])
