"""`@requires_approval`: the function runs on what people agreed to, or not at all."""

from typing import Any

import pytest
from hitl_client import (
    AlreadyExecuted,
    AsyncClient,
    Cancelled,
    Client,
    NotJson,
    Rejected,
    TimedOut,
    Unreachable,
    WaitTimeout,
    requires_approval,
)

from tests.clients.conftest import KEY
from tests.clients.imitation import Imitation, problem


@pytest.fixture
def client(server: Imitation) -> Client:
    return Client(server.url, KEY, timeout=0.5, retries=2, patience=3)


def asked(server: Imitation) -> list[dict[str, Any]]:
    """The data of every request that was made."""
    return [each["actionData"] for each in server.created.values()]


def test_it_runs_with_its_arguments_once_they_are_approved(
    client: Client, server: Imitation
) -> None:
    @requires_approval(client, action_type="payments.refund", name="Refund", reason="Broken mug")
    def refund(order: str, amount: int, *, currency: str = "EUR", **more: Any) -> str:
        """Give money back."""
        return f"{amount} {currency} for {order} {more}"

    shown = {"order": "A-1", "amount": 40, "currency": "EUR", "gift": True}
    server.approve(shown)
    assert refund("A-1", 40, gift=True) == "40 EUR for A-1 {'gift': True}"
    assert asked(server) == [shown]
    assert server.reports[-1][1]["result"] == "40 EUR for A-1 {'gift': True}"
    assert refund.__doc__ == "Give money back."


def test_edits_arrive_as_arguments(client: Client, server: Imitation) -> None:
    @requires_approval(client, action_type="payments.refund")
    def refund(order: str, amount: int) -> int:
        return amount

    server.approve({"order": "A-1", "amount": 35})
    assert refund("A-1", 40) == 35


async def test_it_works_for_coroutines(server: Imitation) -> None:
    async with AsyncClient(server.url, KEY, timeout=0.5) as client:

        @requires_approval(client, action_type="payments.refund")
        async def refund(amount: int) -> int:
            return amount

        server.approve({"amount": 35})
        assert await refund(40) == 35
        assert asked(server) == [{"amount": 40}]


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        ("REJECTED", Rejected, "Refund: rejected by Ann: Twice already"),
        ("TIMEOUT", TimedOut, "nobody answered in time"),
        ("CANCELLED", Cancelled, "withdrawn"),
        ("COMPLETED", AlreadyExecuted, "carried out before"),
        ("UNKNOWN", AlreadyExecuted, "carried out before"),
    ],
)
def test_without_an_approval_it_does_not_run(
    client: Client, server: Imitation, status: str, error: type[Exception], words: str
) -> None:
    @requires_approval(client, action_type="payments.refund", idempotency_key=lambda: "one")
    def refund() -> None:
        pytest.fail("it ran")

    server.state = {"status": status, "name": "Refund", "feedback": "Twice already"}
    server.state["respondedBy"] = {"name": "Ann"}
    with pytest.raises(error, match=words) as raised:
        refund()
    assert raised.value.workflow.status == status  # type: ignore[attr-defined]
    assert server.reports == []


def test_a_rejection_says_who_and_why(client: Client, server: Imitation) -> None:
    @requires_approval(client, action_type="a.b")
    def act() -> None: ...

    server.state = {"status": "REJECTED", "feedback": "No.", "respondedBy": {"name": "Ann"}}
    with pytest.raises(Rejected) as raised:
        act()
    assert (raised.value.by, raised.value.feedback) == ("Ann", "No.")


def test_whoever_waits_no_longer_withdraws(client: Client, server: Imitation) -> None:
    @requires_approval(client, action_type="a.b", wait_timeout=0.3)
    def act() -> None: ...

    with pytest.raises(WaitTimeout):
        act()
    assert server.state["status"] == "CANCELLED"


def test_a_withdrawal_that_fails_does_not_hide_the_timeout(
    client: Client, server: Imitation
) -> None:
    @requires_approval(client, action_type="a.b", wait_timeout=0)
    def act() -> None: ...

    server.script.extend(["answer", "answer", *["refuse"] * 5])
    with pytest.raises(WaitTimeout) as raised:
        act()
    assert isinstance(raised.value.__cause__, Unreachable)


def test_an_answer_that_comes_before_the_withdrawal_counts(
    client: Client, server: Imitation
) -> None:
    @requires_approval(client, action_type="a.b", wait_timeout=0)
    def act(n: int) -> int:
        return n

    # Asked, seen pending, and approved just before the withdrawal arrives.
    server.script.extend(["answer", "answer", problem(409, "already-decided")])
    server.approve({"n": 2})
    pending = dict(server.state)
    server.state.clear()
    original = server.next_behaviour

    def approve_late(call: Any) -> Any:
        if call.path.endswith("/cancel"):
            server.state |= pending
        return original(call)

    server.next_behaviour = approve_late  # type: ignore[method-assign]
    assert act(1) == 2


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (object(), "/what"),
        ({"deep": [1, {2, 3}]}, "/what/deep/1"),
        (float("nan"), "/what"),
        (2**53, "/what"),
        ("half \ud800", "/what"),
        ({1: "x"}, "/what"),
        ({"a/b": b""}, "/what/a~1b"),
    ],
    ids=["object", "set", "nan", "large", "surrogate", "key", "bytes"],
)
def test_an_argument_that_cannot_be_shown_is_named(
    client: Client, server: Imitation, value: Any, place: str
) -> None:
    @requires_approval(client, action_type="a.b")
    def act(what: Any) -> None: ...

    with pytest.raises(NotJson, match=r"The argument 'what' of .*act is not JSON") as raised:
        act(value)
    assert raised.value.pointer == place
    assert server.ledger == [], "nobody is asked"


def test_what_is_unseen_is_passed_on_and_not_shown(client: Client, server: Imitation) -> None:
    class Shop:
        @requires_approval(client, action_type="a.b", unseen=("self", "connection"))
        def act(self, n: int, connection: object) -> tuple[object, int, object]:
            return self, n, connection

    server.approve({"n": 7})
    shop, connection = Shop(), object()
    assert shop.act(1, connection) == (shop, 7, connection)
    assert asked(server) == [{"n": 1}]


def test_an_edit_that_fits_no_parameter_is_reported(client: Client, server: Imitation) -> None:
    @requires_approval(client, action_type="a.b")
    def act(n: int) -> None:
        pytest.fail("it ran")

    server.approve({"n": 1, "m": 2})
    with pytest.raises(TypeError, match="m"):
        act(1)
    assert server.reports[-1][0] == "fail"


def test_its_own_failure_is_reported(client: Client, server: Imitation) -> None:
    @requires_approval(client, action_type="a.b")
    def act() -> None:
        raise ConnectionError("the bank is down")

    server.approve({})
    with pytest.raises(ConnectionError):
        act()
    error = {"code": "ConnectionError", "message": "the bank is down"}
    assert server.reports[-1] == ("fail", {"attempt": 1, "error": error})


def test_name_and_key_are_made_of_the_arguments(client: Client, server: Imitation) -> None:
    @requires_approval(
        client,
        action_type="a.b",
        name=lambda order, **_: f"Refund {order}",
        idempotency_key=lambda order, **_: f"refund-{order}",
    )
    def act(order: str, amount: int) -> None: ...

    server.approve({"order": "A-1", "amount": 1})
    act("A-1", 1)
    assert list(server.created) == ["refund-A-1"]
    assert b'"name":"Refund A-1"' in server.ledger[0].body


def test_a_wrong_call_is_refused_like_any_other(client: Client, server: Imitation) -> None:
    @requires_approval(client, action_type="a.b")
    def act(n: int) -> None: ...

    with pytest.raises(TypeError, match="missing a required argument: 'n'"):
        act()  # type: ignore[call-arg]
    assert server.ledger == []


def test_a_function_that_cannot_be_asked_about_is_refused_at_once(client: Client) -> None:
    decorate = requires_approval(client, action_type="a.b")

    async def coroutine() -> None: ...

    with pytest.raises(TypeError, match="AsyncClient"):
        decorate(coroutine)
    with pytest.raises(TypeError, match="has no name of its own"):
        decorate(lambda *numbers: None)
    with pytest.raises(TypeError, match="is not async"):
        requires_approval(AsyncClient("http://x", KEY), action_type="a.b")(lambda: None)
