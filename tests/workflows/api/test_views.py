"""The use cases of an agent and of people, from the outside."""

import base64
import datetime as dt
import hashlib
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from events.models import Event
from hitl.accounts.models import Agent, Role, User
from hitl.accounts.services import add_member
from hitl.lib import canonical
from tests.accounts.factories import AgentFactory, UserFactory
from tests.workflows.api.callers import (
    REFUND,
    REFUND_FORM,
    REQUEST,
    WORKFLOWS,
    Caller,
    approved,
    as_agent,
    as_user,
    code,
    decide,
    lose,
    places,
)
from tests.workflows.factories import ActionTypeFactory
from workflows.models import Status, Workflow

WIRE_FIELDS = {
    "workflowId", "name", "agentId", "actionType", "actionData", "uiSchema", "status",
    "approverEmail", "approvers", "policy", "expiresAt", "timeoutAction", "decision",
    "responseData", "feedback", "respondedAt", "respondedBy", "respondedVia", "result", "error",
    "metadata", "round", "fingerprint", "approvedFingerprint", "risk", "reason", "url",
    "execution", "createdAt", "updatedAt", "requester", "stage", "proposedData",
    "currentFingerprint", "claimedBy", "openQuestions", "compensates", "compensation",
}  # fmt: skip


class TestCreate:
    def test_answers_the_stored_request(self, bot: Caller, agent: Agent) -> None:
        answer = bot.post(WORKFLOWS, REQUEST)
        sent = answer.json()
        assert answer.status_code == 201
        assert set(sent) == WIRE_FIELDS
        assert (sent["status"], sent["agentId"]) == ("PENDING", str(agent.pk))
        assert sent["fingerprint"] == canonical.fingerprint(REFUND)
        assert answer.headers["Location"] == f"{WORKFLOWS}/{sent['workflowId']}"
        assert sent["url"] == f"http://testserver/workflows/{sent['workflowId']}/"
        assert bot.get(answer.headers["Location"]).json() == sent

    def test_seed_path_answers_id_and_status(self, bot: Caller, approver: User) -> None:
        body = {"actionType": "email.send", "actionData": {"to": "joe@example.com"}}
        answer = bot.post("/workflows/create", body | {"approverEmail": approver.email})
        assert answer.status_code == 201
        assert answer.json()["status"] == "PENDING"
        assert answer.json()["approverEmail"] == approver.email
        assert Workflow.objects.filter(pk=answer.json()["workflowId"]).exists()

    def test_takes_every_field(self, bot: Caller, approver: User, colleague: User) -> None:
        expires = (timezone.now() + dt.timedelta(hours=2)).replace(microsecond=0)
        sent = bot.create(
            reason="Damaged in transit",
            approvers=[approver.email, colleague.email, approver.email.upper()],
            expiresAt=expires.isoformat(),
            timeoutAction="hold",
            metadata={"run": 17, "nested": {"keepThis_asIs": [1, None]}},
        )
        assert sent["reason"] == "Damaged in transit"
        assert len(sent["approvers"]) == 2
        assert dt.datetime.fromisoformat(sent["expiresAt"]) == expires
        assert sent["timeoutAction"] == "hold"
        assert sent["metadata"] == {"run": 17, "nested": {"keepThis_asIs": [1, None]}}

    @pytest.mark.parametrize(
        ("changes", "pointer"),
        [
            ({"status": "APPROVED"}, "/status"),
            ({"decidedBy": "me"}, "/decidedBy"),
            ({"workflowId": str(uuid4())}, "/workflowId"),
            ({"a/b~c": 1}, "/a~1b~0c"),
            ({"expiresAt": None}, "/expiresAt"),
            ({"actionType": ""}, "/actionType"),
            ({"actionType": 5}, "/actionType"),
            ({"actionType": "a..b"}, "/actionType"),
            ({"actionType": "email.send\n"}, "/actionType"),
            ({"actionType": "a" * 101}, "/actionType"),
            ({"actionData": []}, "/actionData"),
            ({"actionData": None}, "/actionData"),
            ({"actionData": "{}"}, "/actionData"),
            ({"name": 5}, "/name"),
            ({"name": "n" * 201}, "/name"),
            ({"reason": "r" * 100_000}, "/reason"),
            ({"uiSchema": []}, "/uiSchema"),
            ({"uiSchema": {"properties": {"a": {"$ref": "http://evil.example"}}}},
             "/uiSchema/properties/a/$ref"),
            ({"uiSchema": {"fields": [{"name": "a", "type": "html"}]}},
             "/uiSchema/fields/0/type"),
            ({"uiSchema": {"properties": {"orderId": {"type": "integer"}}}},
             "/actionData/orderId"),
            ({"approverEmail": "nobody"}, "/approverEmail"),
            ({"approverEmail": ["ann@example.com"]}, "/approverEmail"),
            ({"approvers": []}, "/approvers"),
            ({"approvers": "ann@example.com"}, "/approvers"),
            ({"approvers": ["ann@example.com", "nobody"]}, "/approvers/1"),
            ({"approvers": [f"p{n}@example.com" for n in range(51)]}, "/approvers"),
            ({"timeoutSeconds": -1}, "/timeoutSeconds"),
            ({"timeoutSeconds": 0}, "/timeoutSeconds"),
            ({"timeoutSeconds": 10**9}, "/timeoutSeconds"),
            ({"timeoutSeconds": "60"}, "/timeoutSeconds"),
            ({"timeoutSeconds": 1.5}, "/timeoutSeconds"),
            ({"timeoutSeconds": True}, "/timeoutSeconds"),
            ({"expiresAt": "2999-01-01T00:00:00"}, "/expiresAt"),
            ({"expiresAt": "2999-01-01"}, "/expiresAt"),
            ({"expiresAt": "9999-12-31T23:59:59-23:59"}, "/expiresAt"),
            ({"expiresAt": "2999-02-30T00:00:00Z"}, "/expiresAt"),
            ({"expiresAt": 4102444800}, "/expiresAt"),
            ({"expiresAt": "2001-01-01T00:00:00Z"}, "/expiresAt"),
            ({"timeoutAction": "escalate"}, "/timeoutAction"),
            ({"timeoutAction": "REJECT"}, "/timeoutAction"),
            ({"timeoutAction": ["reject"]}, "/timeoutAction"),
            ({"timeoutAction": "approve"}, "/timeoutAction"),
            ({"metadata": []}, "/metadata"),
            ({"metadata": {"long": "x" * 17_000}}, "/metadata"),
        ],
    )  # fmt: skip
    def test_names_what_is_wrong(self, bot: Caller, changes: dict[str, Any], pointer: str) -> None:
        answer = bot.post(WORKFLOWS, REQUEST | changes)
        assert code(answer) == (400, "validation")
        assert pointer in places(answer)
        assert not Workflow.objects.exists()

    def test_names_everything_at_once(self, bot: Caller) -> None:
        answer = bot.post(WORKFLOWS, {"status": "x", "name": 1, "timeoutSeconds": "1h"})
        assert places(answer) == [
            "/actionType",
            "/actionData",
            "/name",
            "/timeoutSeconds",
            "/status",
        ]

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ({"approverEmail": "a@example.com"}, {"approvers": ["a@example.com"]}),
            ({"timeoutSeconds": 60}, {"expiresAt": "2999-01-01T00:00:00Z"}),
        ],
    )
    def test_refuses_both_of_two_alternatives(
        self, bot: Caller, one: dict[str, Any], other: dict[str, Any]
    ) -> None:
        answer = bot.post(WORKFLOWS, REQUEST | one | other)
        assert code(answer) == (400, "validation")
        assert places(answer) == [f"/{next(iter(other))}"]

    @pytest.mark.parametrize("stranger_by", ["approverEmail", "approvers"])
    def test_refuses_approvers_of_other_teams(
        self, bot: Caller, stranger: User, stranger_by: str
    ) -> None:
        named: Any = stranger.email if stranger_by == "approverEmail" else [stranger.email]
        answer = bot.post(WORKFLOWS, REQUEST | {stranger_by: named})
        assert code(answer) == (400, "validation")
        assert places(answer)[0].startswith(f"/{stranger_by}")

    @pytest.mark.parametrize("body", [b"[]", b'"x"', b"null", b"1"])
    def test_refuses_what_is_no_object(self, bot: Caller, body: bytes) -> None:
        answer = bot.post(WORKFLOWS, body)
        assert code(answer) == (400, "validation")

    def test_is_for_agents_with_the_scope(self, agent: Agent, ann: Caller) -> None:
        assert code(ann.post(WORKFLOWS, REQUEST)) == (403, "forbidden")
        assert code(as_agent(agent, "read", "execute").post(WORKFLOWS, REQUEST)) == (
            403,
            "forbidden",
        )
        assert as_agent(agent, "create").post(WORKFLOWS, REQUEST).status_code == 201


class TestGet:
    def test_agents_of_the_team_may_read(self, bot: Caller, agent: Agent) -> None:
        workflow = bot.create()
        other = as_agent(AgentFactory(team=agent.team), "read")
        assert other.get(f"{WORKFLOWS}/{workflow['workflowId']}").json() == workflow

    def test_needs_the_scope(self, bot: Caller, agent: Agent) -> None:
        path = f"{WORKFLOWS}/{bot.create()['workflowId']}"
        assert code(as_agent(agent, "create", "execute").get(path)) == (403, "forbidden")

    @pytest.mark.parametrize("row_id", ["x", "0" * 10_000, "{0}", "%00", str(uuid4()), "null"])
    def test_what_is_absent_is_not_found(self, bot: Caller, row_id: str) -> None:
        answer = bot.get(f"{WORKFLOWS}/{row_id}")
        assert code(answer) == (404, "not-found")
        assert answer.json()["detail"] == "There is no such workflow."

    def test_ids_are_read_in_either_case(self, bot: Caller) -> None:
        workflow = bot.create()
        assert bot.get(f"{WORKFLOWS}/{workflow['workflowId'].upper()}").json() == workflow

    @pytest.mark.parametrize(
        "params",
        [{"wait": "61"}, {"wait": "-1"}, {"wait": "1.5"}, {"wait": ""}, {"wait": "٣"},
         {"until": "never"}, {"wait": ["1", "2"]}, {"fields": "status"}],
    )  # fmt: skip
    def test_refuses_parameters_it_does_not_know(self, bot: Caller, params: Any) -> None:
        path = f"{WORKFLOWS}/{bot.create()['workflowId']}"
        answer = bot.get(path, params)
        assert code(answer) == (400, "validation")
        assert places(answer) == [f"?{next(iter(params))}"]

    def test_without_a_loop_to_wait_in_says_when_to_ask_again(
        self, bot: Caller, ann: Caller
    ) -> None:
        workflow = bot.create()
        path = f"{WORKFLOWS}/{workflow['workflowId']}"
        assert bot.get(path, {"wait": 30}).headers["Retry-After"] == "2"
        assert "Retry-After" not in bot.get(path).headers
        decide(ann, workflow)
        assert "Retry-After" not in bot.get(path, {"wait": 30}).headers
        assert "Retry-After" in bot.get(path, {"wait": 30, "until": "settled"}).headers


class TestList:
    def test_pages_hold_every_row_once(self, bot: Caller) -> None:
        made = [bot.create()["workflowId"] for _ in range(7)]
        found, cursor = [], None
        while True:
            page = bot.get(WORKFLOWS, {"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
            found += [item["workflowId"] for item in page["items"]]
            cursor = page["nextCursor"]
            if cursor is None:
                break
        assert found == made[::-1]

    def test_new_rows_do_not_disturb_later_pages(self, bot: Caller) -> None:
        made = [bot.create()["workflowId"] for _ in range(4)]
        first = bot.get(WORKFLOWS, {"limit": 2}).json()
        bot.create()
        rest = bot.get(WORKFLOWS, {"limit": 2, "cursor": first["nextCursor"]}).json()
        assert [item["workflowId"] for item in rest["items"]] == [made[1], made[0]]

    def test_rows_of_one_instant_are_neither_lost_nor_repeated(self, bot: Caller) -> None:
        made = {bot.create()["workflowId"] for _ in range(5)}
        Workflow.objects.update(created_at=timezone.now())
        first = bot.get(WORKFLOWS, {"limit": 2}).json()
        second = bot.get(WORKFLOWS, {"limit": 100, "cursor": first["nextCursor"]}).json()
        found = [item["workflowId"] for item in first["items"] + second["items"]]
        assert len(found) == 5
        assert set(found) == made

    def test_filters(self, bot: Caller, ann: Caller, agent: Agent) -> None:
        approved, pending = bot.create(), bot.create(actionType="email.send")
        decide(ann, approved)
        other = as_agent(AgentFactory(team=agent.team))
        theirs = other.create()

        def ids(**params: Any) -> list[str]:
            return [item["workflowId"] for item in bot.get(WORKFLOWS, params).json()["items"]]

        assert ids(status="APPROVED") == [approved["workflowId"]]
        assert len(ids(status=["APPROVED", "PENDING"])) == 3
        assert ids(actionType="email.send") == [pending["workflowId"]]
        assert ids(agentId=theirs["agentId"]) == [theirs["workflowId"]]
        assert ids(createdAfter=theirs["createdAt"]) == []
        assert ids(createdBefore=pending["createdAt"]) == [approved["workflowId"]]
        assert ids(createdBefore="2001-01-01T00:00:00 00:00") == []

    @pytest.mark.parametrize(
        "params",
        [
            {"status": "pending"}, {"status": "APPROVED,PENDING"}, {"agentId": "x"},
            {"createdAfter": "2026-01-01"}, {"createdAfter": "2026-01-01T00:00:00"},
            {"limit": 0}, {"limit": 101}, {"limit": "ten"}, {"limit": "1e2"}, {"cursor": ""},
            {"actionType": "a\0"}, {"_connector": "OR"}, {"team__name": "x"},
            {"agent__api_keys__digest__startswith": "a"}, {"status__in": "PENDING"},
            {"offset": 1}, {"page": 1}, {"agentId": ["a", "b"]},
        ],
    )  # fmt: skip
    def test_refuses_what_is_not_on_the_list(self, bot: Caller, params: Any) -> None:
        answer = bot.get(WORKFLOWS, params)
        assert code(answer) == (400, "validation")
        assert all(place.startswith(f"?{next(iter(params))}") for place in places(answer))

    @pytest.mark.parametrize(
        "raw",
        [b"x", b"[]", b'["x"]', b'["2026-01-01T00:00:00Z","x"]', b'["2026-01-01",null]',
         b'[null,null]', b'[1,2]', b"{}", b'["0001-01-01T00:00:00+23:00", 1]', b"[" * 300],
    )  # fmt: skip
    def test_forged_cursors_are_refused(self, bot: Caller, raw: bytes) -> None:
        cursor = base64.urlsafe_b64encode(raw).decode().rstrip("=")
        for value in (cursor, raw.decode(), cursor + "é", "=" * 5, "A" * 2000):
            answer = bot.get(WORKFLOWS, {"cursor": value})
            assert code(answer) == (400, "validation")

    def test_shows_people_what_their_teams_have(
        self, bot: Caller, ann: Caller, stranger: User
    ) -> None:
        workflow = bot.create()
        assert [row["workflowId"] for row in ann.get(WORKFLOWS).json()["items"]] == [
            workflow["workflowId"]
        ]
        assert as_user(stranger).get(WORKFLOWS).json() == {"items": [], "nextCursor": None}

    def test_number_of_queries_does_not_grow(
        self, bot: Caller, ann: Caller, django_assert_max_num_queries: Any
    ) -> None:
        for _ in range(5):
            workflow = bot.create()
            decide(ann, workflow)
            bot.post(f"{WORKFLOWS}/{workflow['workflowId']}/execution/start")
        with django_assert_max_num_queries(5):
            assert len(bot.get(WORKFLOWS).json()["items"]) == 5


class TestCancel:
    def test_withdraws_once_and_for_all(self, bot: Caller) -> None:
        path = f"{WORKFLOWS}/{bot.create()['workflowId']}/cancel"
        first = bot.post(path, {"reason": "Called off"})
        assert (first.status_code, first.json()["status"]) == (200, "CANCELLED")
        assert bot.post(path).json() == first.json()
        assert Event.objects.get(type="workflow.cancelled").data["reason"] == "Called off"

    def test_takes_no_body_at_all(self, bot: Caller) -> None:
        path = f"{WORKFLOWS}/{bot.create()['workflowId']}/cancel"
        answer = bot.client.post(path, headers=bot.headers, content_type="application/json")
        assert answer.status_code == 200

    def test_comes_too_late_after_a_decision(self, bot: Caller, ann: Caller) -> None:
        workflow = bot.create()
        decide(ann, workflow)
        answer = bot.post(f"{WORKFLOWS}/{workflow['workflowId']}/cancel")
        assert code(answer) == (409, "already-decided")
        assert answer.json()["workflowStatus"] == "APPROVED"

    def test_is_for_the_agent_that_asked(self, bot: Caller, agent: Agent, ann: Caller) -> None:
        path = f"{WORKFLOWS}/{bot.create()['workflowId']}/cancel"
        colleague = as_agent(AgentFactory(team=agent.team))
        assert code(colleague.post(path)) == (403, "forbidden")
        assert code(ann.post(path)) == (403, "forbidden")
        assert code(as_agent(agent, "read").post(path)) == (403, "forbidden")


class TestTimeline:
    def test_tells_the_story_with_snapshots(self, bot: Caller, ann: Caller) -> None:
        workflow = bot.create()
        decide(ann, workflow)
        path = f"{WORKFLOWS}/{workflow['workflowId']}/events"
        page = bot.get(path).json()
        created, responded = page["items"]
        assert page["nextAfter"] is None
        assert (created["type"], responded["type"]) == ("workflow.created", "human.responded")
        assert created["stateSnapshot"]["status"] == "PENDING"
        assert responded["stateSnapshot"]["status"] == "APPROVED"
        assert responded["actor"]["name"] == "Ann Approver"
        assert responded["previousHash"] == created["hash"]
        assert bot.get(path, {"after": 1}).json()["items"] == [responded]

    def test_comes_in_pages(self, bot: Caller, ann: Caller) -> None:
        workflow = bot.create()
        decide(ann, workflow, "rejected")
        path = f"{WORKFLOWS}/{workflow['workflowId']}/events"
        page = bot.get(path, {"limit": 2}).json()
        assert page["nextAfter"] == 2
        rest = bot.get(path, {"limit": 2, "after": 2}).json()
        assert [event["seq"] for event in rest["items"]] == [3]
        assert rest["nextAfter"] is None


class TestDecide:
    def test_approves(self, bot: Caller, ann: Caller) -> None:
        answer = decide(ann, bot.create(), feedback="Fine")
        found = answer.json()
        assert answer.status_code == 200
        assert (found["replayed"], found["isEffective"]) == (False, True)
        workflow = found["workflow"]
        assert (workflow["status"], workflow["decision"]) == ("APPROVED", "approved")
        assert workflow["respondedBy"] == {"name": "Ann Approver", "email": "ann@example.com"}
        assert (workflow["respondedVia"], workflow["feedback"]) == ("api", "Fine")
        assert workflow["approvedFingerprint"] == workflow["fingerprint"]

    def test_comment_is_another_name_for_feedback(self, bot: Caller, ann: Caller) -> None:
        found = decide(ann, bot.create(), "rejected", comment="No").json()
        assert found["workflow"]["feedback"] == "No"
        answer = decide(ann, bot.create(), comment="No", feedback="Yes")
        assert code(answer) == (400, "validation")

    def test_approves_with_edits(self, bot: Caller, ann: Caller) -> None:
        edited = REFUND | {"amount": 100}
        found = decide(ann, bot.create(), "modified", responseData=edited).json()["workflow"]
        assert found["actionData"] == REFUND
        assert found["responseData"] == edited
        assert found["approvedFingerprint"] == canonical.fingerprint(edited)

    def test_repeating_gives_the_first_answer(self, bot: Caller, ann: Caller) -> None:
        workflow = bot.create()
        first, again = decide(ann, workflow).json(), decide(ann, workflow).json()
        assert again == first | {"replayed": True}

    def test_agents_see_the_name_only(self, bot: Caller, ann: Caller) -> None:
        workflow = bot.create()
        decide(ann, workflow)
        seen = bot.get(f"{WORKFLOWS}/{workflow['workflowId']}").json()
        assert seen["respondedBy"] == {"name": "Ann Approver"}

    def test_second_decision_is_refused(self, bot: Caller, ann: Caller, colleague: User) -> None:
        workflow = bot.create()
        decide(ann, workflow)
        answer = decide(as_user(colleague), workflow, "rejected")
        assert code(answer) == (409, "already-decided")
        assert "Ann Approver" in answer.json()["detail"]
        assert answer.json()["workflowStatus"] == "APPROVED"

    def test_stale_fingerprint_is_refused(self, bot: Caller, ann: Caller) -> None:
        workflow = bot.create()
        answer = decide(ann, workflow, fingerprint=canonical.fingerprint({}))
        assert code(answer) == (409, "digest-mismatch")
        assert answer.json()["workflowStatus"] == "PENDING"

    def test_after_the_deadline_is_refused(self, bot: Caller, ann: Caller) -> None:
        workflow = bot.create()
        Workflow.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
        assert code(decide(ann, workflow)) == (409, "expired")

    @pytest.mark.parametrize(
        ("changes", "pointer"),
        [
            ({"decision": "APPROVED"}, "/decision"),
            ({"decision": "approve"}, "/decision"),
            ({"decision": ["approved"]}, "/decision"),
            ({"decision": {"is": "approved"}}, "/decision"),
            ({"decision": None}, "/decision"),
            ({"decision": True}, "/decision"),
            ({"fingerprint": None}, "/fingerprint"),
            ({"fingerprint": "sha256:1234"}, "/fingerprint"),
            ({"decision": "modified"}, "/responseData"),
            ({"responseData": REFUND}, "/responseData"),
            ({"decision": "modified", "responseData": None}, "/responseData"),
            ({"decision": "modified", "responseData": REFUND | {"amount": "1"}},
             "/responseData/amount"),
            ({"user": "somebody else"}, "/user"),
            ({"strength": "passkey"}, "/strength"),
        ],
    )  # fmt: skip
    def test_anything_else_changes_nothing(
        self, bot: Caller, ann: Caller, changes: dict[str, Any], pointer: str
    ) -> None:
        workflow = bot.create()
        answer = decide(ann, workflow, **changes)
        assert code(answer) == (400, "validation")
        assert pointer in places(answer)
        assert Workflow.objects.get().status == Status.PENDING

    def test_fingerprint_is_required(self, bot: Caller, ann: Caller) -> None:
        path = f"{WORKFLOWS}/{bot.create()['workflowId']}/decide"
        assert places(ann.post(path, {"decision": "approved"})) == ["/fingerprint"]

    @pytest.mark.parametrize("route", ["decide", "settle"])
    def test_agents_never_decide(self, bot: Caller, agent: Agent, route: str) -> None:
        workflow = bot.create()
        bodies = {
            "decide": {"decision": "approved", "fingerprint": workflow["fingerprint"]},
            "settle": {"outcome": "completed", "note": "I say so"},
        }
        path = f"{WORKFLOWS}/{workflow['workflowId']}/{route}"
        for caller in (bot, as_agent(agent), as_agent(agent, "create", "read", "execute")):
            assert code(caller.post(path, bodies[route])) == (403, "forbidden")
        assert Workflow.objects.get().status == Status.PENDING

    def test_viewers_may_not_and_it_is_on_record(self, bot: Caller, viewer: User) -> None:
        workflow = bot.create()
        for _ in range(3):
            assert code(decide(as_user(viewer), workflow)) == (403, "forbidden")
        refused = Event.objects.get(type="human.refused")
        assert refused.actor["name"] == "Vic Viewer"

    def test_the_agents_owner_may_not(self, bot: Caller, agent: Agent, colleague: User) -> None:
        workflow = bot.create()
        agent.owner = colleague
        agent.save()
        answer = decide(as_user(colleague), workflow)
        assert code(answer) == (403, "forbidden")
        assert "own the agent" in answer.json()["detail"]

    def test_removed_approvers_may_not(self, bot: Caller, approver: User, agent: Agent) -> None:
        workflow = bot.create()
        caller = as_user(approver)
        add_member(agent.team, approver, Role.VIEWER)
        assert code(decide(caller, workflow)) == (403, "forbidden")
        approver.memberships.all().delete()
        assert code(decide(caller, workflow)) == (404, "not-found")


class TestExecution:
    def test_agent_starts_and_completes(self, bot: Caller, ann: Caller) -> None:
        path = approved(bot, ann)
        started = bot.post(f"{path}/start", {"executor": "worker-7"}).json()
        assert started["attempt"] == 1
        assert started["data"] == REFUND
        assert started["fingerprint"] == canonical.fingerprint(REFUND)
        running = started["workflow"]["execution"]
        assert (running["status"], running["leaseUntil"]) == ("open", started["leaseUntil"])
        beat = bot.post(f"{path}/heartbeat", {"attempt": 1}).json()
        assert beat["leaseUntil"] > started["leaseUntil"]
        done = bot.post(f"{path}/complete", {"attempt": 1, "result": {"id": "re_1"}})
        assert done.status_code == 200
        assert (done.json()["status"], done.json()["result"]) == ("COMPLETED", {"id": "re_1"})
        assert done.json()["execution"] == {
            "by": "agent", "semantics": "at_most_once", "attempt": 1, "status": "succeeded",
            "leaseUntil": None,
        }  # fmt: skip

    def test_repeated_start_and_report_are_harmless(self, bot: Caller, ann: Caller) -> None:
        path = approved(bot, ann)
        first = bot.post(f"{path}/start", {"executor": "worker-7"}).json()
        assert bot.post(f"{path}/start", {"executor": "worker-7"}).json() == first
        done = bot.post(f"{path}/complete", {"attempt": 1}).json()
        assert bot.post(f"{path}/complete", {"attempt": 1}).json() == done

    def test_failure_is_kept(self, bot: Caller, ann: Caller) -> None:
        path = approved(bot, ann)
        bot.post(f"{path}/start")
        error = {"code": "declined", "message": "Card expired"}
        failed = bot.post(f"{path}/fail", {"attempt": 1, "error": error}).json()
        assert (failed["status"], failed["error"]) == ("FAILED", error)

    @pytest.mark.parametrize(
        ("route", "body"),
        [
            ("start", {}),
            ("heartbeat", {"attempt": 1}),
            ("complete", {"attempt": 1, "result": 1}),
            ("fail", {"attempt": 1, "error": {}}),
        ],
    )
    def test_needs_an_approval_and_the_right_agent(
        self, bot: Caller, agent: Agent, ann: Caller, route: str, body: dict[str, Any]
    ) -> None:
        path = f"{WORKFLOWS}/{bot.create()['workflowId']}/execution/{route}"
        answer = bot.post(path, body)
        assert code(answer) == (409, "execution-conflict")
        assert answer.json()["workflowStatus"] == "PENDING"
        other = as_agent(AgentFactory(team=agent.team))
        assert code(other.post(path, body)) == (403, "forbidden")
        assert code(ann.post(path, body)) == (403, "forbidden")
        assert code(as_agent(agent, "create", "read").post(path, body)) == (403, "forbidden")

    @pytest.mark.parametrize("attempt", [0, -1, 2**31, 2**53 - 1, "1", None, 1.5, True, [1]])
    def test_refuses_attempts_that_are_no_number(
        self, bot: Caller, ann: Caller, attempt: Any
    ) -> None:
        path = approved(bot, ann)
        bot.post(f"{path}/start")
        answer = bot.post(f"{path}/heartbeat", {"attempt": attempt})
        assert code(answer) == (400, "validation")
        assert places(answer) == ["/attempt"]

    def test_people_settle_what_is_unknown(self, bot: Caller, ann: Caller, viewer: User) -> None:
        path = approved(bot, ann).removesuffix("/execution")
        body = {"outcome": "completed", "note": "Seen in the bank's list"}
        answer = ann.post(f"{path}/settle", body)
        assert code(answer) == (409, "illegal-transition")
        assert answer.json()["workflowStatus"] == "APPROVED"
        lose(bot, path)
        assert code(as_user(viewer).post(f"{path}/settle", body)) == (403, "forbidden")
        assert ann.post(f"{path}/settle", body).json()["status"] == "COMPLETED"


class TestActionData:
    def test_gives_the_approved_bytes(self, bot: Caller, ann: Caller) -> None:
        workflow = bot.create()
        edited = {"orderId": "A-1009", "currency": "USD", "amount": 100}
        decide(ann, workflow, "modified", responseData=edited)
        answer = bot.get(f"{WORKFLOWS}/{workflow['workflowId']}/action-data")
        assert answer.content == canonical.dumps(edited)
        assert answer.headers["Content-Type"] == "application/json"
        digest = base64.b64encode(hashlib.sha256(answer.content).digest()).decode()
        assert answer.headers["Content-Digest"] == f"sha-256=:{digest}:"

    def test_is_there_only_while_it_may_run(self, bot: Caller, ann: Caller) -> None:
        workflow = bot.create()
        path = f"{WORKFLOWS}/{workflow['workflowId']}"
        answer = bot.get(f"{path}/action-data")
        assert code(answer) == (409, "not-approved")
        assert answer.json()["workflowStatus"] == "PENDING"
        decide(ann, workflow)
        bot.post(f"{path}/execution/start")
        assert bot.get(f"{path}/action-data").status_code == 200
        bot.post(f"{path}/execution/complete", {"attempt": 1})
        assert code(bot.get(f"{path}/action-data")) == (409, "not-approved")


class TestActionTypes:
    def test_lists_the_teams_own_by_name(self, bot: Caller, ann: Caller, agent: Agent) -> None:
        for name in ("b.two", "a.one", "c.three"):
            ActionTypeFactory(team=agent.team, name=name, executor_config={"secret": "s3cret"})
        ActionTypeFactory(team=AgentFactory().team, name="other.team")
        page = bot.get("/api/v1/action-types", {"limit": 2}).json()
        rest = ann.get("/api/v1/action-types", {"cursor": page["nextCursor"]}).json()
        assert [row["name"] for row in page["items"]] == ["a.one", "b.two"]
        assert [row["name"] for row in rest["items"]] == ["c.three"]
        assert "s3cret" not in str(page)

    def test_forged_names_in_cursors_are_refused(self, bot: Caller) -> None:
        for raw in (b'["a\\u0000", "x"]', b'["\\ud800", "x"]', b'[{}, "x"]'):
            cursor = base64.urlsafe_b64encode(raw).decode().rstrip("=")
            assert code(bot.get("/api/v1/action-types", {"cursor": cursor}))[0] == 400


class TestService:
    def test_ping(self, nobody: Caller) -> None:
        answer = nobody.get("/ping")
        assert (answer.status_code, answer.content) == (200, b"pong")
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"

    def test_health(self, nobody: Caller) -> None:
        assert nobody.get("/healthz", {"cache": "buster"}).json() == {"status": "ok"}

    def test_bad_credentials_do_not_matter_here(self, nobody: Caller) -> None:
        assert nobody.get("/ping", Authorization="Bearer nonsense").status_code == 200


def test_form_comes_back_as_a_json_schema(bot: Caller) -> None:
    found = bot.create(uiSchema=REFUND_FORM)["uiSchema"]
    assert found["properties"]["currency"]["enum"] == ["EUR", "USD"]


def test_guest_without_a_team_sees_nothing(bot: Caller) -> None:
    workflow = bot.create()
    guest = as_user(UserFactory())
    assert code(guest.get(f"{WORKFLOWS}/{workflow['workflowId']}")) == (404, "not-found")
