"""From the approval to the report: nothing runs on other data, and no end is reported wrongly."""

import asyncio
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from hitl_client import (
    ActionFailed,
    AsyncClient,
    Client,
    Execution,
    ExecutionConflict,
    FingerprintMismatch,
    NotReported,
    OutcomeUnknown,
    Started,
    Unreachable,
    Workflow,
    replies,
    sending,
)
from hitl_client.core import Core
from hitl_client.execution import keep_alive

from tests.clients.conftest import KEY
from tests.clients.imitation import DATA, Imitation, problem
from tests.embedded import until
from workflows.api import examples


@pytest.fixture
def approved(client: Any, server: Imitation) -> Any:
    """A request that people have approved."""
    workflow = client.ask("payments.refund", DATA)
    server.approve()
    return client.wait(workflow)


def said(server: Imitation) -> list[str]:
    return [what for what, _ in server.reports]


# --- The data -------------------------------------------------------------------------------------


def test_other_bytes_than_the_approved_ones_are_not_given(
    client: Any, server: Imitation, approved: Any
) -> None:
    server.tampered = b'{"amount":999999,"orderId":"A-1009"}'
    with pytest.raises(FingerprintMismatch, match="Do nothing with it"):
        client.approved_data(approved)
    with pytest.raises(FingerprintMismatch), client.execution(approved):
        pytest.fail("the body ran")
    assert server.reports == [], "not even claimed"


def test_bytes_are_compared_as_they_came(client: Any, server: Imitation, approved: Any) -> None:
    server.tampered = b'{"amount": 120, "orderId": "A-1009"}'  # the same, written otherwise
    with pytest.raises(FingerprintMismatch):
        client.approved_data(approved)


def test_without_an_approval_there_is_nothing(client: Any, server: Imitation) -> None:
    workflow = client.ask("a.b", DATA)
    with pytest.raises(FingerprintMismatch, match="nothing was approved"):
        client.approved_data(workflow)


def test_an_approval_that_changes_while_claiming_ends_it(
    client: Any, server: Imitation, approved: Any
) -> None:
    seen = client.approved_data(approved)
    assert seen == DATA
    server.state["approvedFingerprint"] = "sha256:" + "0" * 64
    with pytest.raises(FingerprintMismatch, match="changed"), client.execution(approved):
        pytest.fail("the body ran")
    assert said(server) == ["start", "fail"]


def test_edits_are_what_runs(client: Any, server: Imitation) -> None:
    workflow = client.ask("payments.refund", DATA)
    server.approve(DATA | {"amount": 35})
    with client.execution(client.wait(workflow)) as run:
        assert run.data == DATA | {"amount": 35}


# --- The report -----------------------------------------------------------------------------------


def test_success_is_reported_with_its_result(client: Any, server: Imitation, approved: Any) -> None:
    with client.execution(approved) as run:
        assert run.data == DATA
        assert run.key == f"{approved.workflow_id}-1"
        run.result = {"refundId": "re_1"}
    assert server.reports[-1] == ("complete", {"attempt": 1, "result": {"refundId": "re_1"}})
    assert run.workflow.status == "COMPLETED"


def test_a_result_that_is_no_json_is_reported_as_python_writes_it(
    client: Any, server: Imitation, approved: Any
) -> None:
    with client.execution(approved) as run:
        run.result = {"when": time.gmtime(0), "how": {1, 2}}
    assert server.reports[-1][1]["result"]["repr"].startswith("{'when': time.struct_time")


@pytest.mark.parametrize("code", ["validation", "too-large"])
def test_a_result_that_the_server_refuses_does_not_hide_the_success(
    client: Any, server: Imitation, approved: Any, code: str
) -> None:
    with client.execution(approved) as run:
        server.script.append(problem(413, code, "The request is too large."))
        run.result = "x" * 300
    assert said(server) == ["start", "complete"]
    assert server.reports[-1][1]["result"] == {"unreportable": "The request is too large."}


def test_an_exception_is_reported_and_goes_on(
    client: Any, server: Imitation, approved: Any
) -> None:
    with pytest.raises(ZeroDivisionError), client.execution(approved):
        _ = 1 / 0
    error = {"code": "ZeroDivisionError", "message": "division by zero"}
    assert server.reports[-1] == ("fail", {"attempt": 1, "error": error})


def test_a_failure_may_have_a_code_of_its_own(
    client: Any, server: Imitation, approved: Any
) -> None:
    with pytest.raises(ActionFailed), client.execution(approved):
        raise ActionFailed("Card expired \ud800\0", code="declined")
    assert server.reports[-1][1]["error"] == {"code": "declined", "message": "Card expired ?"}


@pytest.mark.parametrize("error", [OutcomeUnknown("timed out"), KeyboardInterrupt()])
def test_what_nobody_knows_is_not_reported(
    client: Any, server: Imitation, approved: Any, error: BaseException
) -> None:
    with pytest.raises(type(error)), client.execution(approved):
        raise error
    assert said(server) == ["start"]


def test_a_report_survives_an_outage(client: Any, server: Imitation, approved: Any) -> None:
    with client.execution(approved) as run:
        server.script.extend(["refuse", "drop", problem(503, "unavailable"), "rubbish", "drop"])
        run.result = 1
    assert set(said(server)[1:]) == {"complete"}
    assert run.workflow.status == "COMPLETED"


def test_a_success_that_cannot_be_told_is_not_taken_for_a_failure(
    client: Any, server: Imitation, approved: Any
) -> None:
    with pytest.raises(NotReported) as raised, client.execution(approved) as run:  # noqa: PT012
        server.does = problem(409, "execution-conflict", "Attempt 1 is not running.")
        run.result = {"refundId": "re_1"}
    assert raised.value.result == {"refundId": "re_1"}
    assert raised.value.started.attempt == 1
    assert isinstance(raised.value.__cause__, ExecutionConflict)


def test_a_failure_that_cannot_be_told_keeps_its_own_exception(
    client: Any, server: Imitation, approved: Any
) -> None:
    with pytest.raises(ZeroDivisionError), client.execution(approved):  # noqa: PT012
        server.does = problem(409, "execution-conflict")
        _ = 1 / 0


# --- The claim ------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", ["drop", "mute", "rubbish"])
def test_a_claim_whose_answer_got_lost_is_repeated_under_one_name(
    client: Any, server: Imitation, approved: Any, failure: str
) -> None:
    server.script.extend(["answer", failure])  # the data, the claim
    with client.execution(approved):
        pass
    names = {body["executor"] for what, body in server.reports if what == "start"}
    assert said(server) == ["start", "start", "complete"]
    assert len(names) == 1


def test_two_executions_never_share_a_name(client: Any, server: Imitation, approved: Any) -> None:
    for _ in range(2):
        with client.execution(approved):
            pass
    names = [body["executor"] for what, body in server.reports if what == "start"]
    assert len(set(names)) == 2


def test_a_name_of_ones_own_takes_up_where_it_stopped(
    client: Any, server: Imitation, approved: Any
) -> None:
    with client.execution(approved, executor="worker-7"):
        pass
    assert server.reports[0] == ("start", {"executor": "worker-7"})


def test_a_claim_by_somebody_else_keeps_the_body_from_running(
    client: Any, server: Imitation, approved: Any
) -> None:
    server.script.extend(["answer", problem(409, "execution-conflict", "Started before.")])
    with pytest.raises(ExecutionConflict, match="Started before"), client.execution(approved):
        pytest.fail("the body ran")
    assert server.reports == []


# --- Heartbeats -----------------------------------------------------------------------------------


def test_heartbeats_go_on_while_the_work_does(server: Imitation) -> None:
    client = Client(server.url, KEY, timeout=0.5)
    workflow = client.ask("a.b", DATA)
    server.approve()
    server.lease = 1
    with client.execution(workflow):
        until(lambda: said(server).count("heartbeat") >= 3, 5)
    told = said(server)
    time.sleep(0.8)
    assert said(server) == told, "and stop with it"
    assert told[-1] == "complete"
    assert not [each for each in threading.enumerate() if each.name == "hitl heartbeats"]


async def test_heartbeats_go_on_while_the_coroutine_does(server: Imitation) -> None:
    async with AsyncClient(server.url, KEY, timeout=0.5) as client:
        workflow = await client.ask("a.b", DATA)
        server.approve()
        server.lease = 1
        async with client.execution(workflow):
            while said(server).count("heartbeat") < 3:
                await asyncio.sleep(0.05)
        told = said(server)
        await asyncio.sleep(0.8)
        assert said(server) == told
        assert told[-1] == "complete"


def test_a_lost_lease_is_known_to_the_body(server: Imitation) -> None:
    client = Client(server.url, KEY, timeout=0.5)
    workflow = client.ask("a.b", DATA)
    server.approve()
    server.lease = 0.3
    with client.execution(workflow) as run:
        server.script.append(problem(409, "execution-conflict", "Its lease has run out."))
        until(lambda: run.lease_lost, 5)


def test_a_heartbeat_that_fails_is_followed_by_others(server: Imitation) -> None:
    client = Client(server.url, KEY, timeout=0.3)
    workflow = client.ask("a.b", DATA)
    server.approve()
    server.lease = 2
    with client.execution(workflow) as run:
        server.script.extend(["drop", "rubbish", "refuse"])
        until(lambda: said(server).count("heartbeat") >= 4, 8)
        assert not run.lease_lost


def test_an_outage_is_not_answered_with_a_storm_of_heartbeats(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An hour without an answer, on a clock that moves only by the pauses."""
    clock = 0.0
    monkeypatch.setattr(replies, "FIRST_PAUSE", 0.5)
    monkeypatch.setattr(replies, "LONGEST_PAUSE", 10.0)
    monkeypatch.setattr(sending, "time", SimpleNamespace(monotonic=lambda: clock))
    workflow = Workflow.parse(examples.PENDING)
    run = Execution(workflow, Started.parse(examples.STARTED), DATA, b"")
    steps = keep_alive(Core("http://localhost", KEY), run, 300)
    tries, effect = 0, next(steps)
    while clock < 3600:
        if isinstance(effect, sending.Pause):
            clock += effect.seconds
            effect = next(steps)
        else:
            tries += 1
            effect = steps.throw(Unreachable("gone"))
    assert 24 < tries < 720, "not more often than every five seconds"
    assert not run.lease_lost, "nobody has said so"


async def test_a_cancelled_coroutine_reports_nothing_and_stops_its_heartbeats(
    server: Imitation,
) -> None:
    async with AsyncClient(server.url, KEY, timeout=0.5) as client:
        workflow = await client.ask("a.b", DATA)
        server.approve()

        async def work() -> None:
            async with client.execution(workflow):
                await asyncio.sleep(60)

        task = asyncio.create_task(work())
        while "start" not in said(server):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert said(server) == ["start"]
        assert not [each for each in asyncio.all_tasks() if each.get_name() == "hitl heartbeats"]
