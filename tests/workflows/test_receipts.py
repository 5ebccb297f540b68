"""A receipt tells who approved what, holds for a while and for one use, and for nothing else."""

import datetime as dt
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from pytest_django import Settings

from events.models import Event
from events.types import Source
from hitl.accounts.models import Agent, Role, Team, User
from hitl.accounts.services import add_member
from hitl.lib import canonical, jws, signing_keys
from hitl.lib.errors import Conflict, Forbidden, NotFound
from tests.accounts.factories import AgentFactory, TeamFactory, UserFactory
from tests.workflows.factories import REFUND, ActionTypeFactory, decide, make_workflow
from tests.workflows.policy_samples import adopt, member, stage
from tests.workflows.test_ruling import rules, small
from workflows import away, executions, receipt_claims, receipts, rollback, services
from workflows.errors import (
    CannotRollBack,
    NotApproved,
    NotExecutable,
    ReceiptConsumed,
    ReceiptInvalid,
)
from workflows.models import Receipt, Status, Workflow
from workflows.receipts import Issued, Presented

pytestmark = pytest.mark.django_db


@pytest.fixture
def approved(agent: Agent, approver: User) -> Workflow:
    workflow = make_workflow(agent)
    decide(workflow, approver)
    workflow.refresh_from_db()
    return workflow


@pytest.fixture
def issued(approved: Workflow, agent: Agent) -> Issued:
    return receipts.issue(approved.pk, agent=agent)


def reason(token: str, caller: Agent, **shown: str) -> str:
    return receipts.verify(Presented(token, **shown), caller=caller).reason


def again(made: Issued, **claims: Any) -> str:
    """The same receipt with other claims, signed by us all the same."""
    return jws.sign(made.claims | claims, typ=receipt_claims.TYPE)


def types(workflow: Workflow) -> list[str]:
    return list(Event.objects.filter(workflow=workflow).values_list("type", flat=True))


# --- What it says ---------------------------------------------------------------------------------


def test_it_tells_who_approved_what_and_how_sure_we_are(
    agent: Agent, approver: User, settings: Settings
) -> None:
    settings.PUBLIC_URL = "https://approvals.example.com/"
    workflow = make_workflow(agent)
    decision = decide(workflow, approver, strength="passkey").decision
    made = receipts.issue(workflow.pk, agent=agent, audience="billing", seconds=60)
    claims = jws.read(made.token, typ="hitl-receipt+jwt")
    assert claims["exp"] - claims["iat"] == 60
    assert claims["nbf"] == claims["iat"] == int(made.receipt.issued_at.timestamp())
    del claims["exp"], claims["iat"], claims["nbf"], claims["requestedAt"], claims["decidedAt"]
    [ann] = claims.pop("approvers")
    at = dt.datetime.fromisoformat(ann.pop("at"))
    assert abs(at - decision.decided_at) < dt.timedelta(milliseconds=1)
    assert ann == {
        "id": str(approver.pk), "name": "Ann Approver", "onBehalfOf": None,
        "verdict": "approved", "stage": 0, "via": "dashboard", "strength": "passkey",
    }  # fmt: skip
    assert claims == {
        "iss": "https://approvals.example.com", "sub": str(workflow.pk),
        "jti": str(made.receipt.pk), "aud": "billing", "format": 1,
        "actionType": "payments.refund", "fingerprint": canonical.fingerprint(REFUND),
        "verdict": "approved", "agent": {"id": str(agent.pk), "name": "refund-bot"},
        "requester": None, "decidedBy": {"kind": "people", "rule": None},
        "policy": {"id": None, "name": workflow.policy["name"], "version": None}, "round": 1,
        "team": {"id": str(agent.team_id), "name": "Payments"},
    }  # fmt: skip


def test_edits_make_it_a_receipt_of_the_edited_data(agent: Agent, approver: User) -> None:
    workflow, edited = make_workflow(agent), REFUND | {"amount": 100}
    decide(workflow, approver, "modified", response_data=edited)
    claims = receipts.issue(workflow.pk, agent=agent).claims
    assert claims["verdict"] == "modified"
    assert claims["fingerprint"] == canonical.fingerprint(edited)


def test_everybody_whose_answer_counted_is_named(
    team: Team, agent: Agent, approver: User, colleague: User, manager: User
) -> None:
    adopt(
        team,
        stage("Two", {"users": [str(approver.pk), str(colleague.pk)]}, 2),
        stage("Boss", {"users": [str(manager.pk)]}),
    )
    workflow = make_workflow(agent)
    decide(workflow, colleague)
    services.withdraw(workflow.pk, user=colleague, source="api")
    decide(workflow, approver, strength="totp")
    decide(workflow, colleague, source="slack", strength="slack")
    decide(workflow, manager)
    claims = receipts.issue(workflow.pk, agent=agent).claims
    told = [(one["name"], one["stage"], one["strength"]) for one in claims["approvers"]]
    assert told == [
        ("Ann Approver", 0, "totp"), ("Carl Colleague", 0, "slack"), ("Mia Manager", 1, "session"),
    ]  # fmt: skip
    assert (claims["policy"]["name"], claims["policy"]["version"]) == ("Refunds", 1)


def test_votes_on_data_that_was_edited_since_are_not_named(
    team: Team, agent: Agent, approver: User, colleague: User
) -> None:
    dora = member(team, "Dora Deputy")
    adopt(team, stage("Two", {"team": "approvers"}, 2))
    workflow, edited = make_workflow(agent), REFUND | {"amount": 100}
    decide(workflow, approver)
    decide(workflow, colleague, "modified", response_data=edited)
    decide(workflow, dora, fingerprint=canonical.fingerprint(edited))
    claims = receipts.issue(workflow.pk, agent=agent).claims
    assert [one["name"] for one in claims["approvers"]] == ["Carl Colleague", "Dora Deputy"]


def test_stand_in_is_told_from_whom_they_stood_in_for(
    team: Team, agent: Agent, approver: User, colleague: User
) -> None:

    adopt(team, stage("Ann", {"users": [str(approver.pk)]}))
    away.add(approver, by=approver, start=None, end=None, delegate=colleague.pk)
    workflow = make_workflow(agent)
    decide(workflow, colleague)
    [one] = receipts.issue(workflow.pk, agent=agent).claims["approvers"]
    assert one["name"] == "Carl Colleague"
    assert one["onBehalfOf"] == {"id": str(approver.pk), "name": "Ann Approver"}


def test_rule_is_named_where_no_person_decided(team: Team, agent: Agent) -> None:
    rules(team, small())
    claims = receipts.issue(make_workflow(agent).pk, agent=agent).claims
    assert claims["decidedBy"] == {"kind": "rule", "rule": "Small refunds"}
    assert claims["approvers"] == []


def test_silence_is_called_silence(team: Team, agent: Agent, approver: User) -> None:
    ActionTypeFactory(
        team=team, name="payments.refund", risk="low", allow_timeout_approval=True,
        timeout_action="approve",
    )  # fmt: skip
    workflow = make_workflow(agent)
    Workflow.objects.filter(pk=workflow.pk).update(expires_at=F("created_at"))
    services.time_out(workflow.pk)
    claims = receipts.issue(workflow.pk, agent=agent).claims
    assert claims["decidedBy"] == {"kind": "silence", "rule": None}
    assert claims["approvers"] == []


# --- Who gets one, and when -----------------------------------------------------------------------


def test_nobody_gets_one_before_the_approval(agent: Agent) -> None:
    workflow = make_workflow(agent)
    with pytest.raises(NotApproved):
        receipts.issue(workflow.pk, agent=agent)
    assert types(workflow)[-1] != "receipt.issued"


def test_nobody_gets_one_after_the_end(approved: Workflow, agent: Agent) -> None:
    _, attempt = executions.start(approved.pk, agent=agent)
    assert receipts.issue(approved.pk, agent=agent).claims["sub"] == str(approved.pk)
    executions.complete(approved.pk, agent=agent, attempt=attempt.number, result=None)
    with pytest.raises(NotApproved, match="COMPLETED"):
        receipts.issue(approved.pk, agent=agent)


def test_another_agent_gets_none(approved: Workflow, team: Team) -> None:
    with pytest.raises(Forbidden):
        receipts.issue(approved.pk, agent=AgentFactory(team=team))
    with pytest.raises(NotFound):
        receipts.issue(approved.pk, agent=AgentFactory(team=TeamFactory()))


def test_what_the_server_carries_out_needs_none(team: Team, agent: Agent, approver: User) -> None:
    ActionTypeFactory(
        team=team, name="payments.refund", executor="http",
        executor_config={"url": "https://api.example.com/refund"},
    )  # fmt: skip
    workflow = make_workflow(agent)
    decide(workflow, approver)
    with pytest.raises(NotExecutable):
        receipts.issue(workflow.pk, agent=agent)


def test_data_that_was_changed_behind_our_back_gets_none(approved: Workflow, agent: Agent) -> None:
    Workflow.objects.filter(pk=approved.pk).update(action_data=REFUND | {"amount": 9999})
    with pytest.raises(NotApproved, match="not the data"):
        receipts.issue(approved.pk, agent=agent)


def test_without_a_key_nothing_is_issued(
    approved: Workflow, agent: Agent, settings: Settings
) -> None:
    settings.SIGNING_KEYS = []
    with pytest.raises(signing_keys.NoSigningKey):
        receipts.issue(approved.pk, agent=agent)
    assert not Receipt.objects.exists()


def test_they_are_not_handed_out_without_end(
    approved: Workflow, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipts, "MOST_PER_ROUND", 2)
    made = [receipts.issue(approved.pk, agent=agent) for _ in range(2)]
    with pytest.raises(Conflict):
        receipts.issue(approved.pk, agent=agent)
    assert reason(made[-1].token, agent) == ""


# --- What makes one worthless ---------------------------------------------------------------------


def test_fresh_one_is_valid_for_anybody_of_the_team(
    issued: Issued, agent: Agent, approver: User, team: Team
) -> None:
    shown = Presented(issued.token, fingerprint=issued.receipt.fingerprint)
    for caller in (agent, AgentFactory(team=team), approver):
        found = receipts.verify(shown, caller=caller)
        assert (found.reason, found.claims) == ("", issued.claims)


def test_another_team_learns_nothing(issued: Issued, stranger: User) -> None:
    elsewhere = AgentFactory(team=Team.objects.get(slug="elsewhere"))
    for caller in (elsewhere, stranger):
        found = receipts.verify(Presented(issued.token), caller=caller)
        assert (found.reason, found.claims, found.receipt) == ("unknown", None, None)
    with pytest.raises(ReceiptInvalid, match="There is no such receipt"):
        receipts.consume(Presented(issued.token), agent=elsewhere)


def test_person_who_left_the_team_learns_nothing(issued: Issued, approver: User) -> None:
    approver.memberships.all().delete()
    assert receipts.verify(Presented(issued.token), caller=approver).reason == "unknown"


def test_time_is_the_databases_and_the_end_is_not_included(issued: Issued, agent: Agent) -> None:
    now = int(timezone.now().timestamp())
    assert reason(again(issued, exp=now), agent) == "expired"
    assert reason(again(issued, exp=now - 3600), agent) == "expired"
    assert reason(again(issued, exp=now + 30), agent) == ""
    assert reason(again(issued, nbf=now + 30), agent) == "not-yet-valid"


@pytest.mark.parametrize(
    ("named", "said", "expected"),
    [
        ("billing", "billing", ""), ("", "", ""), ("billing", "", "wrong-audience"),
        ("billing", "mail", "wrong-audience"), ("billing", "Billing", "wrong-audience"),
        ("", "billing", "wrong-audience"),
    ],
)  # fmt: skip
def test_it_is_for_whom_it_names_alone(
    approved: Workflow, agent: Agent, named: str, said: str, expected: str
) -> None:
    made = receipts.issue(approved.pk, agent=agent, audience=named)
    assert reason(made.token, agent, audience=said) == expected


def test_other_data_is_refused(issued: Issued, agent: Agent) -> None:
    other = canonical.fingerprint(REFUND | {"amount": 121})
    assert reason(issued.token, agent, fingerprint=other) == "fingerprint-mismatch"
    with pytest.raises(ReceiptInvalid) as error:
        receipts.consume(Presented(issued.token, fingerprint=other), agent=agent)
    assert (error.value.errors[0].pointer, error.value.errors[0].code) == (
        "/fingerprint",
        "fingerprint-mismatch",
    )


def test_newer_one_replaces_it(issued: Issued, approved: Workflow, agent: Agent) -> None:
    newer = receipts.issue(approved.pk, agent=agent)
    assert (reason(issued.token, agent), reason(newer.token, agent)) == ("replaced", "")
    with pytest.raises(ReceiptInvalid):
        receipts.consume(Presented(issued.token), agent=agent)


def test_settled_request_voids_it(issued: Issued, approved: Workflow, agent: Agent) -> None:
    _, attempt = executions.start(approved.pk, agent=agent)
    assert reason(issued.token, agent) == ""
    executions.fail(approved.pk, agent=agent, attempt=attempt.number, error={"code": "x"})
    assert reason(issued.token, agent) == "void"


def test_used_receipt_is_no_approval_that_was_not_started(
    issued: Issued, approved: Workflow, agent: Agent, approver: User
) -> None:
    receipts.consume(Presented(issued.token), agent=agent, consumer="billing/7")
    with pytest.raises(CannotRollBack, match="billing/7 has used the receipt"):
        rollback.roll_back(
            approved.pk, user=approver, to_seq=1, reason="Look again", source=Source.DASHBOARD
        )


def test_run_again_has_a_receipt_of_its_own(
    issued: Issued, approved: Workflow, agent: Agent, manager: User
) -> None:
    receipts.consume(Presented(issued.token), agent=agent)
    executions.start(approved.pk, agent=agent)
    executions.fail(approved.pk, agent=agent, attempt=1, error={})
    seq = Event.objects.filter(workflow=approved, status="APPROVED").latest("seq").seq
    rollback.roll_back(
        approved.pk, user=manager, to_seq=seq, reason="It was down", source=Source.DASHBOARD,
        acknowledged=True,
    )  # fmt: skip
    assert reason(issued.token, agent) == "consumed"
    again = receipts.issue(approved.pk, agent=agent)
    assert (again.receipt.round, len(again.claims["approvers"])) == (2, 1)


def test_later_round_voids_it(
    issued: Issued, approved: Workflow, agent: Agent, approver: User
) -> None:
    rollback.roll_back(
        approved.pk, user=approver, to_seq=1, reason="Look again", source=Source.DASHBOARD
    )
    decide(approved, approver, round=2)
    assert reason(issued.token, agent) == "void"
    with pytest.raises(ReceiptInvalid, match="not in force"):
        receipts.consume(Presented(issued.token), agent=agent)


@pytest.mark.parametrize(
    "claims",
    [
        {"jti": "019aaf27-6c1e-7b6a-9f6e-0d4b1c2a3f10"}, {"jti": "x"}, {"jti": None}, {"jti": []},
        {"sub": "019aaf27-6c1e-7b6a-9f6e-0d4b1c2a3f10"}, {"round": 2}, {"round": "x"},
        {"iss": "https://elsewhere.example.com"}, {"iss": None}, {"format": 2}, {"exp": "x"},
        {"exp": None}, {"nbf": {}},
    ],
)  # fmt: skip
def test_signed_claims_that_are_not_ours_are_refused(
    issued: Issued, agent: Agent, claims: dict[str, Any]
) -> None:
    assert reason(again(issued, **claims), agent) in ("malformed", "unknown")


@pytest.mark.parametrize("name", ["iss", "sub", "jti", "nbf", "exp", "format", "fingerprint"])
def test_no_claim_may_be_missing(issued: Issued, agent: Agent, name: str) -> None:
    less = {key: value for key, value in issued.claims.items() if key != name}
    assert reason(jws.sign(less, typ=receipt_claims.TYPE), agent) == "malformed"


def test_other_things_we_sign_are_no_receipts(issued: Issued, agent: Agent) -> None:
    assert reason(jws.sign(issued.claims, typ="hitl-checkpoint+jwt"), agent) == "malformed"


def test_old_key_still_verifies_after_it_was_replaced(
    issued: Issued, agent: Agent, settings: Settings
) -> None:
    was = settings.SIGNING_KEYS[0]
    settings.SIGNING_KEYS = [signing_keys.generate(), signing_keys.public_half(was)]
    assert reason(issued.token, agent) == ""
    settings.SIGNING_KEYS = settings.SIGNING_KEYS[:1]
    assert reason(issued.token, agent) == "unknown-key"


# --- Using it up ----------------------------------------------------------------------------------


def test_it_is_used_once_and_says_by_whom(issued: Issued, agent: Agent, team: Team) -> None:
    executor = AgentFactory(team=team, name="billing")
    found = receipts.consume(Presented(issued.token), agent=executor, consumer="billing/7")
    assert found.claims == issued.claims
    for caller in (executor, agent):
        with pytest.raises(ReceiptConsumed, match="billing/7 at 20"):
            receipts.consume(Presented(issued.token), agent=caller)
    looked = receipts.verify(Presented(issued.token), caller=agent)
    assert looked.reason == "consumed"
    assert looked.receipt is not None
    assert looked.receipt.consumed_by == "billing/7"


def test_after_one_was_used_there_are_no_more(
    issued: Issued, approved: Workflow, agent: Agent
) -> None:
    receipts.consume(Presented(issued.token), agent=agent)
    with pytest.raises(ReceiptConsumed):
        receipts.issue(approved.pk, agent=agent)
    assert Receipt.objects.count() == 1


def test_replay_after_its_end_is_told_as_used(issued: Issued, agent: Agent) -> None:
    receipts.consume(Presented(issued.token), agent=agent)
    assert reason(again(issued, exp=issued.claims["iat"] + 1), agent) == "consumed"


def test_looking_uses_nothing_up(issued: Issued, agent: Agent) -> None:
    events = Event.objects.count()
    assert {reason(issued.token, agent) for _ in range(5)} == {""}
    assert Event.objects.count() == events
    assert receipts.consume(Presented(issued.token), agent=agent).receipt is not None


def test_expired_one_cannot_be_used(issued: Issued, agent: Agent) -> None:
    late = again(issued, exp=issued.claims["iat"])
    with pytest.raises(ReceiptInvalid, match="expired"):
        receipts.consume(Presented(late), agent=agent)
    Receipt.objects.get(consumed_at=None)


def test_timeline_tells_both_and_never_the_receipt(issued: Issued, agent: Agent) -> None:
    receipts.consume(Presented(issued.token), agent=agent, consumer="billing/7")
    workflow = issued.receipt.workflow
    assert types(workflow)[-2:] == ["receipt.issued", "receipt.consumed"]
    made, used = Event.objects.filter(workflow=workflow).order_by("seq")[2:]
    assert made.data["receiptId"] == used.data["receiptId"] == str(issued.receipt.pk)
    assert (used.data["consumer"], used.actor["name"]) == ("billing/7", "refund-bot")
    assert issued.token.rpartition(".")[2] not in str(made.data) + str(used.data)
    workflow.refresh_from_db()
    assert workflow.status == Status.APPROVED


def test_round_has_one_receipt_that_counts(issued: Issued) -> None:
    row = issued.receipt
    with pytest.raises(IntegrityError), transaction.atomic():
        Receipt.objects.create(
            workflow=row.workflow, round=row.round, fingerprint=row.fingerprint, kid=row.kid,
            issued_at=row.issued_at, expires_at=row.expires_at,
        )  # fmt: skip
    with pytest.raises(IntegrityError), transaction.atomic():
        Receipt.objects.update(replaced_at=row.issued_at, consumed_at=row.issued_at)


def test_viewer_may_look(issued: Issued, team: Team) -> None:
    add_member(team, viewer := UserFactory(), Role.VIEWER)
    assert receipts.verify(Presented(issued.token), caller=viewer).reason == ""
