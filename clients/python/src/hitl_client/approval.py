"""`@requires_approval`: a function that runs only when people have agreed to its very arguments."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from hitl_client.aio import AsyncClient
from hitl_client.client import Client
from hitl_client.core import Core
from hitl_client.errors import (
    AlreadyExecuted,
    Cancelled,
    Conflict,
    HitlError,
    NotJson,
    Rejected,
    TimedOut,
    WaitTimeout,
)
from hitl_client.json_values import check
from hitl_client.models import Workflow
from hitl_client.sending import Steps
from hitl_client.vocabulary import TimeoutAction, WorkflowStatus

if TYPE_CHECKING:
    from typing_extensions import Unpack

F = TypeVar("F", bound=Callable[..., Any])
Words = str | Callable[..., str]


class Asking(TypedDict, total=False):
    """What `requires_approval` passes on to `ask` as it is."""

    reason: str
    approvers: Sequence[str]
    approver_email: str
    policy: str
    ui_schema: Mapping[str, Any]
    expires_in: float | timedelta
    timeout_action: TimeoutAction | str
    requester: str
    metadata: Mapping[str, Any]


def requires_approval(
    client: Client | AsyncClient,
    *,
    action_type: str,
    name: Words | None = None,
    idempotency_key: Callable[..., str] | None = None,
    wait_timeout: float | None = None,
    unseen: Collection[str] = ("self",),
    **asking: Unpack[Asking],
) -> Callable[[F], F]:
    """Ask before every call of the function, and run it with the approved arguments.

    Its arguments are the action data, by parameter name, so they must be JSON; edits of the people
    who approve arrive as changed arguments. Parameters named in `unseen` are passed on as they are
    and shown to nobody. `name` is the line in the inbox, or makes it from the arguments.
    `idempotency_key` makes a key from the arguments, so that a call can be repeated after a crash.
    `client` is an AsyncClient for `async def`, else a Client.

    A call raises NotJson for arguments that cannot be shown, Rejected, TimedOut or Cancelled where
    there is no approval, WaitTimeout after `wait_timeout` seconds (the request is withdrawn then),
    AlreadyExecuted where the same key was carried out before, and whatever the function raises.
    """

    def decorate(function: F) -> F:
        shown = _Arguments(function, unseen)

        def asks(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Steps[Workflow]:
            data = shown.data(args, kwargs)
            more: dict[str, Any] = dict(asking)
            if name is not None:
                more["name"] = name if isinstance(name, str) else name(**data)
            if idempotency_key is not None:
                more["idempotency_key"] = idempotency_key(**data)
            return approval(client.core, action_type, data, wait_timeout, more)

        if isinstance(client, AsyncClient):
            return _asynchronous(client, function, shown, asks)
        return _synchronous(client, function, shown, asks)

    return decorate


Asks = Callable[[tuple[Any, ...], dict[str, Any]], Steps[Workflow]]


def _synchronous(client: Client, function: F, shown: _Arguments, asks: Asks) -> F:
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"{shown.title} is async: give requires_approval an AsyncClient")

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        workflow = client.run(asks(args, kwargs))
        with client.execution(workflow) as run:
            run.result = function(**shown.restored(run.data, args, kwargs))
        return run.result

    return call  # type: ignore[return-value]  # the same signature


def _asynchronous(client: AsyncClient, function: F, shown: _Arguments, asks: Asks) -> F:
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"{shown.title} is not async: give requires_approval a Client")

    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        workflow = await client.run(asks(args, kwargs))
        async with client.execution(workflow) as run:
            run.result = await function(**shown.restored(run.data, args, kwargs))
        return run.result

    return call  # type: ignore[return-value]  # the same signature


def approval(
    core: Core,
    action_type: str,
    data: Mapping[str, Any],
    wait_timeout: float | None,
    asking: Mapping[str, Any],
) -> Steps[Workflow]:
    """Ask and wait; the approved request, or the exception that says why there is none."""
    workflow = yield from core.ask(action_type, data, **asking)
    try:
        workflow = yield from core.wait(workflow, timeout=wait_timeout)
    except WaitTimeout as timeout:
        try:
            yield from core.cancel(workflow, reason="The caller waited no longer.")
        except Conflict:
            # Somebody was faster than our withdrawal: their answer counts.
            workflow = yield from core.get(workflow)
        except HitlError as trouble:
            raise timeout from trouble
        else:
            raise
    return granted(workflow)


def granted(workflow: Workflow) -> Workflow:
    """The request, if it is approved and still to be carried out; else raises what became of it."""
    status, name = workflow.status, workflow.name or workflow.action_type
    if status == WorkflowStatus.REJECTED:
        who = workflow.responded_by.name if workflow.responded_by else "a rule"
        why = f": {workflow.feedback}" if workflow.feedback else "."
        raise Rejected(f"{name}: rejected by {who}{why}", workflow)
    if status == WorkflowStatus.TIMEOUT:
        raise TimedOut(f"{name}: nobody answered in time.", workflow)
    if status == WorkflowStatus.CANCELLED:
        raise Cancelled(f"{name}: withdrawn.", workflow)
    if status not in (WorkflowStatus.APPROVED, WorkflowStatus.EXECUTING):
        raise AlreadyExecuted(workflow)
    return workflow


class _Arguments:
    """The parameters of a function: which of them are shown, and how they come back."""

    def __init__(self, function: Callable[..., Any], unseen: Collection[str]) -> None:
        self.title = getattr(function, "__qualname__", repr(function))
        self.signature = inspect.signature(function)
        self.unseen = frozenset(unseen)
        for parameter in self.signature.parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
                raise TypeError(
                    f"{self.title}: {parameter} has no name of its own, so it cannot be shown to "
                    "people. Give it one, or take **keywords."
                )

    def data(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """What people are shown. Raises NotJson naming the argument, TypeError as a call would."""
        named = self._named(args, kwargs)
        shown = {name: value for name, value in named.items() if name not in self.unseen}
        for name, value in shown.items():
            try:
                check(value, f"/{name}")
            except NotJson as fault:
                raise NotJson(
                    fault.pointer, f"The argument {name!r} of {self.title} is not JSON. {fault}"
                ) from None
        return shown

    def restored(
        self, approved: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        """The arguments to call with: what was approved, and the unseen ones as they were given."""
        if not isinstance(approved, dict):
            raise TypeError(f"The approved data are no arguments of {self.title}.")
        given = self._named(args, kwargs)
        kept = {name: value for name, value in given.items() if name in self.unseen}
        self.signature.bind(**kept, **approved)  # raises TypeError where they do not fit
        return {**kept, **approved}

    def _named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        named = dict(bound.arguments)
        for parameter in self.signature.parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                named |= named.pop(parameter.name)
        return named
