"""Schemathesis plays the whole OpenAPI document: no 5xx, and no answer that it does not name.

FUZZ_EXAMPLES sets how many requests each operation gets from each kind of caller (default 15).
"""

import os
import zlib
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from hitl.accounts.models import Agent, Role, User
from hitl.accounts.services import add_member, issue_user_token
from hitl.lib import strict_json
from hitl.lib.errors import InvalidInput
from tests.workflows.factories import (
    ActionTypeFactory,
    ask_again,
    decide,
    make_executing,
    make_overdue,
    make_workflow,
)
from workflows import executions, services
from workflows.api.queries import UUID_FORM

# Forms have rules of their own, approvers must be known, edits must fit the request's form,
# policies and rules are judged by more than their shape, webhooks go to https only, and the first
# day of statistics comes before the last.
RELATED = (
    "createWorkflow", "createWorkflowAtSeedPath", "decideWorkflow", "createPolicy", "changePolicy",
    "tryPolicy", "changeRules", "tryRules", "createWebhook", "changeWebhook", "extendDeadline",
    "handOverWorkflow", "addRemark", "decideBatch", "rollBackWorkflow",
    "getStatistics",
)  # fmt: skip
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "10"))
schema: Any = schemathesis.openapi.from_wsgi("/api/schema/?format=json", get_wsgi_application())

STATES: dict[str, Any] = {
    "absent": lambda agent, user: uuid4(),
    "pending": lambda agent, user: make_workflow(agent).pk,
    "overdue": lambda agent, user: make_overdue(agent).pk,
    "approved": lambda agent, user: decide(make_workflow(agent), user).workflow.pk,
    "rejected": lambda agent, user: decide(make_workflow(agent), user, "rejected").workflow.pk,
    "asked again": lambda agent, user: ask_again(make_workflow(agent), user).pk,
    "cancelled": lambda agent, user: services.cancel(make_workflow(agent).pk, agent=agent).pk,
    "executing": lambda agent, user: make_executing(agent, user).pk,
    "completed": lambda agent, user: (
        executions.complete(
            make_executing(agent, user).pk, agent=agent, attempt=1, result={"ok": True}
        ).pk
    ),
}


@pytest.fixture(autouse=True)
def _keep_the_connection() -> Iterator[None]:
    """A request ends by closing its connection, which here is the test's: as Django's client."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.fixture
def callers(agent: Agent, approver: User, api_key: str) -> dict[str, str]:
    """The Authorization header of each kind of caller; the person may do whatever people may."""
    add_member(agent.team, approver, Role.MANAGER)
    ActionTypeFactory(team=agent.team, name="payments.refund")
    return {
        "agent": f"Bearer {api_key}",
        "person": f"Bearer {issue_user_token(approver)}",
        "nobody": "",
    }


@pytest.mark.parametrize("caller", ["agent", "person", "nobody"])
@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_documented(
    case: Any, caller: str, callers: dict[str, str], agent: Agent, approver: User
) -> None:
    wanted = str((case.path_parameters or {}).get("workflowId", ""))
    if caller != "nobody" and UUID_FORM.fullmatch(wanted):
        case.path_parameters["workflowId"] = str(_state_for(case)(agent, approver))
    headers = {"Authorization": callers[caller]} if callers[caller] else {}
    skipped = [positive_data_acceptance] if _says_too_little(case) else []
    case.call_and_validate(headers=headers, excluded_checks=skipped)


def _says_too_little(case: Any) -> bool:
    """Whether the schema cannot say all that makes this request valid, so that a 400 is right."""
    operation = case.operation.definition.raw["operationId"]
    try:
        strict_json.check(case.body if isinstance(case.body, dict | list) else None)
    except InvalidInput:
        return True  # numbers that readers disagree on, text that databases refuse
    # Headers are made without regard to their pattern.
    is_placed = "cursor" in (case.query or {}) or "Last-Event-ID" in (case.headers or {})
    return is_placed or operation in RELATED


def _state_for(case: Any) -> Any:
    """A state that depends on what was generated, so that a failure can be played again."""
    content = repr((case.operation.label, case.body, case.query))
    return STATES[sorted(STATES)[zlib.crc32(content.encode()) % len(STATES)]]
