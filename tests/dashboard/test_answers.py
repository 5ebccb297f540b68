"""Answers from the page: the one gate, its refusals as pages, and edits that keep their types."""

import json
from typing import Any

import pytest
from django.test import Client

from hitl.accounts.models import Agent, Membership, Role, User
from hitl.lib import canonical
from tests.dashboard.browser import answer, drawn, logged_in, page_of, text
from tests.workflows.factories import REFUND, decide, make_overdue, make_workflow
from workflows import services
from workflows.models import Decision, Status, Workflow

pytestmark = pytest.mark.django_db


def status(workflow: Workflow) -> str:
    workflow.refresh_from_db()
    return str(workflow.status)


def test_approving(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    response = answer(logged_in(approver), workflow, "approved", comment="Go.")
    assert response.status_code == 302
    assert status(workflow) == Status.APPROVED
    decision = Decision.objects.get()
    assert (decision.user, decision.channel, decision.comment) == (approver, "dashboard", "Go.")
    assert decision.fingerprint == workflow.fingerprint


def test_rejecting_with_a_reason(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    answer(logged_in(approver), workflow, "rejected", comment="Too much.")
    assert status(workflow) == Status.REJECTED
    assert workflow.feedback == "Too much."


@pytest.mark.parametrize("comment", ["", "   ", "\n"])
def test_rejecting_needs_a_reason(approver: User, agent: Agent, comment: str) -> None:
    workflow = make_workflow(agent)
    response = answer(logged_in(approver), workflow, "rejected", comment=comment)
    assert response.status_code == 400
    assert "Say why" in text(response)
    assert status(workflow) == Status.PENDING


@pytest.mark.parametrize("comment", ["x" * 5001, "a\0b"])
def test_a_comment_that_cannot_be_kept_comes_back(
    approver: User, agent: Agent, comment: str
) -> None:
    workflow = make_workflow(agent)
    response = answer(logged_in(approver), workflow, "approved", comment=comment)
    assert response.status_code == 400
    assert status(workflow) == Status.PENDING


def test_an_answer_that_is_none(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    response = answer(logged_in(approver), workflow, "maybe")
    assert response.status_code == 400
    assert "Choose to approve or to reject" in text(response)


def test_the_same_answer_twice_counts_once(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    client = logged_in(approver)
    answer(client, workflow, "approved")
    response = answer(client, workflow, "approved")
    assert response.status_code == 302
    assert Decision.objects.count() == 1
    assert "already been recorded" in text(client.get(response["Location"]))


def test_the_second_thought_of_one_person_comes_too_late(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    client = logged_in(approver)
    answer(client, workflow, "approved")
    response = answer(client, workflow, "rejected", comment="No, wait!")
    assert response.status_code == 409
    assert "Approved by Ann Approver" in text(response)
    assert status(workflow) == Status.APPROVED


def test_the_loser_of_a_race_sees_who_won(approver: User, colleague: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    answer(logged_in(approver), workflow, "approved")
    response = answer(logged_in(colleague), workflow, "rejected", comment="No.")
    page = text(response)
    assert response.status_code == 409
    assert "Your answer was not recorded" in page
    assert "Already approved by Ann Approver" in page
    assert 'value="approved"' not in page
    assert status(workflow) == Status.APPROVED


@pytest.mark.parametrize("decision", ["approved", "rejected", "modified"])
def test_a_stale_tab_is_told_that_the_data_is_not_what_it_showed(
    approver: User, agent: Agent, decision: str
) -> None:
    workflow = make_workflow(agent)
    old = "sha256:" + "0" * 64
    response = answer(logged_in(approver), workflow, decision, fingerprint=old, comment="x")
    assert response.status_code == 409
    assert "not the one of the stored data" in text(response)
    assert workflow.fingerprint in text(response)
    assert status(workflow) == Status.PENDING


@pytest.mark.parametrize("decision", ["approved", "rejected", "modified"])
def test_too_late(approver: User, agent: Agent, decision: str) -> None:
    workflow = make_overdue(agent)
    fields = {"comment": "x"} | (
        {"step": "confirmed", **drawn(workflow, amount="9")} if decision == "modified" else {}
    )
    response = answer(logged_in(approver), workflow, decision, **fields)
    assert response.status_code == 409
    assert "The deadline was" in text(response)
    assert status(workflow) == Status.PENDING


@pytest.mark.parametrize("decision", ["approved", "rejected", "modified"])
def test_withdrawn_meanwhile(approver: User, agent: Agent, decision: str) -> None:
    workflow = make_workflow(agent)
    services.cancel(workflow.pk, agent=agent)
    response = answer(logged_in(approver), workflow, decision, comment="x")
    assert response.status_code == 409
    assert "withdrawn" in text(response)


@pytest.mark.parametrize("decision", ["approved", "rejected", "modified"])
def test_a_viewer_cannot_decide(viewer: User, approver: User, agent: Agent, decision: str) -> None:
    workflow = make_workflow(agent)
    response = answer(logged_in(viewer), workflow, decision, comment="x", **drawn(workflow))
    assert response.status_code == 403
    assert "look only" in text(response)
    assert status(workflow) == Status.PENDING


@pytest.mark.parametrize("decision", ["approved", "rejected", "modified"])
def test_who_is_not_asked_cannot_decide(
    approver: User, colleague: User, agent: Agent, decision: str
) -> None:
    workflow = make_workflow(agent, approvers=[approver.email])
    response = answer(logged_in(colleague), workflow, decision, comment="x", **drawn(workflow))
    assert response.status_code == 403
    assert status(workflow) == Status.PENDING


@pytest.mark.parametrize("decision", ["approved", "rejected", "modified"])
def test_the_owner_cannot_decide(
    approver: User, colleague: User, agent: Agent, decision: str
) -> None:
    agent.owner = approver
    agent.save()
    workflow = make_workflow(agent)
    response = answer(logged_in(approver), workflow, decision, comment="x", **drawn(workflow))
    assert response.status_code == 403
    assert status(workflow) == Status.PENDING


@pytest.mark.parametrize("decision", ["approved", "rejected", "modified"])
def test_other_teams_cannot_even_try(
    stranger: User, approver: User, agent: Agent, decision: str
) -> None:
    workflow = make_workflow(agent)
    assert answer(logged_in(stranger), workflow, decision, comment="x").status_code == 404
    assert status(workflow) == Status.PENDING


def test_a_right_that_is_gone_when_the_button_is_pressed(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    client = logged_in(approver)
    assert client.get(page_of(workflow)).status_code == 200
    Membership.objects.filter(user=approver).update(role=Role.VIEWER)
    assert answer(client, workflow, "approved").status_code == 403
    Membership.objects.filter(user=approver).delete()
    assert answer(client, workflow, "approved").status_code == 404
    assert status(workflow) == Status.PENDING


def test_a_post_from_elsewhere_is_refused_with_a_page(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    client = Client(enforce_csrf_checks=True)
    client.force_login(approver)
    response = answer(client, workflow, "approved")
    assert response.status_code == 403
    assert "Please try again" in text(response)
    assert status(workflow) == Status.PENDING


def test_reloading_an_answer_goes_back_to_the_request(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    response = logged_in(approver).get(page_of(workflow, "decide"))
    assert response["Location"] == page_of(workflow)


# --- Edits ---------------------------------------------------------------------------------------


def test_the_edit_page_has_inputs_and_the_reading_page_has_none(
    approver: User, agent: Agent
) -> None:
    workflow = make_workflow(agent)
    client = logged_in(approver)
    assert 'name="f/amount"' not in text(client.get(page_of(workflow)))
    page = text(client.get(page_of(workflow) + "?edit=1"))
    assert 'name="f/amount"' in page
    assert 'name="f/orderId"' not in page  # read-only
    assert 'value="approved"' not in page  # no way past the review


def test_edits_are_shown_before_they_count(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    response = answer(logged_in(approver), workflow, "modified", **drawn(workflow, amount="90"))
    page = text(response)
    assert "Approve with 1 change?" in page
    assert '<del class="value">120</del>' in page
    assert '<ins class="value">90</ins>' in page
    assert '<input type="hidden" name="f/amount" value="90">' in page
    assert status(workflow) == Status.PENDING


def test_confirmed_edits_keep_their_json_types(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    fields = drawn(workflow, amount="90") | {"step": "confirmed", "comment": "Less."}
    answer(logged_in(approver), workflow, "modified", **fields)
    assert status(workflow) == Status.APPROVED
    assert workflow.response_data == {**REFUND, "amount": 90}
    assert isinstance(workflow.response_data["amount"], int)
    assert workflow.response_fingerprint == canonical.fingerprint({**REFUND, "amount": 90})
    edits = Decision.objects.get().edits
    assert edits == [{"op": "replace", "path": "/amount", "value": 90}]


def test_untouched_data_of_every_type_survives_an_edit_elsewhere(
    approver: User, agent: Agent
) -> None:
    data = {
        "big": 9007199254740991, "small": 1.5e-7, "yes": True, "no": False, "nothing": None,
        "empty": "", "lines": "a\nb\n", "spaces": "  x ", "list": [1, 2.5],
        "deep": {"a": [{"b": 1}]}, "text": "120",
    }  # fmt: skip
    schema = {
        "type": "object",
        "properties": {name: {} for name in data} | {"text": {"type": "string"}},
    }
    workflow = make_workflow(agent, action_data=data, ui_schema=schema)
    fields = drawn(workflow, text="121") | {"step": "confirmed"}
    answer(logged_in(approver), workflow, "modified", **fields)
    assert status(workflow) == Status.APPROVED
    assert canonical.dumps(workflow.response_data) == canonical.dumps({**data, "text": "121"})


def test_an_edit_that_changes_nothing_is_offered_as_an_approval(
    approver: User, agent: Agent
) -> None:
    workflow = make_workflow(agent)
    client = logged_in(approver)
    assert "You changed nothing" in text(answer(client, workflow, "modified", **drawn(workflow)))
    answer(client, workflow, "modified", step="confirmed", **drawn(workflow))
    assert status(workflow) == Status.APPROVED
    assert workflow.decision == "approved"
    assert workflow.response_data is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"amount": "ninety"}, "field-error"), ({"amount": ""}, "field-error")],
)
def test_wrong_edits_come_back_with_the_error_at_the_field(
    approver: User, agent: Agent, changes: dict[str, str], message: str
) -> None:
    workflow = make_workflow(agent)
    fields = drawn(workflow, note="Kept as typed", **changes) | {"comment": "Kept too"}
    response = answer(logged_in(approver), workflow, "modified", **fields)
    page = text(response)
    assert response.status_code == 400
    assert message in page
    assert "Kept as typed" in page
    assert "Kept too" in page
    assert status(workflow) == Status.PENDING


def test_wrong_edits_are_refused_even_when_confirmed(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    fields = drawn(workflow, amount="ninety") | {"step": "confirmed"}
    assert answer(logged_in(approver), workflow, "modified", **fields).status_code == 400
    assert status(workflow) == Status.PENDING


def test_read_only_fields_cannot_be_smuggled_in(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    fields = drawn(workflow, amount="90") | {"f/orderId": "A-9999", "step": "confirmed"}
    answer(logged_in(approver), workflow, "modified", **fields)
    assert status(workflow) == Status.APPROVED
    assert workflow.response_data["orderId"] == "A-1009"


def test_approving_ignores_fields_that_ride_along(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    answer(logged_in(approver), workflow, "approved", **drawn(workflow, amount="1"))
    assert status(workflow) == Status.APPROVED
    assert workflow.approved_data == REFUND


def test_back_from_the_review_everything_is_as_typed(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    fields = drawn(workflow, amount="91") | {"step": "edit", "comment": "Hm."}
    response = answer(logged_in(approver), workflow, "modified", **fields)
    page = text(response)
    assert response.status_code == 200
    assert 'value="91"' in page
    assert "Hm." in page
    assert status(workflow) == Status.PENDING


def test_data_without_a_form_cannot_be_edited(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent, ui_schema=None)
    client = logged_in(approver)
    assert answer(client, workflow, "modified", step="confirmed").status_code == 400
    assert "f/amount" not in text(client.get(page_of(workflow) + "?edit=1"))


def test_a_field_called_comment_is_not_ours(approver: User, agent: Agent) -> None:
    form = {"fields": [{"name": "comment", "type": "integer", "label": "Comment number"}]}
    workflow = make_workflow(agent, action_data={"comment": 1}, ui_schema=form)
    client = logged_in(approver)
    response = answer(client, workflow, "modified", **{"f/comment": "x", "comment": "mine"})
    assert response.status_code == 400
    answer(
        client, workflow, "modified", **{"f/comment": "2", "comment": "mine", "step": "confirmed"}
    )
    assert status(workflow) == Status.APPROVED
    assert workflow.response_data == {"comment": 2}
    assert workflow.feedback == "mine"


def test_the_preview_shows_changes_and_decides_nothing(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    client = logged_in(approver)
    page = text(client.post(page_of(workflow, "preview"), drawn(workflow, amount="90")))
    assert "1 change" in page
    assert status(workflow) == Status.PENDING
    page = text(client.post(page_of(workflow, "preview"), drawn(workflow, amount="x")))
    assert "Not right yet" in page


def test_an_already_decided_edit_shows_the_outcome(
    approver: User, colleague: User, agent: Agent
) -> None:
    workflow = make_workflow(agent)
    decide(workflow, approver)
    fields: dict[str, Any] = drawn(workflow, amount="90")
    for step in ("", "confirmed", "edit"):
        response = answer(logged_in(colleague), workflow, "modified", **fields, step=step)
        assert response.status_code == (200 if step == "edit" else 409)
        assert "Approved by Ann Approver" in text(response)
        assert "f/amount" not in text(response)


def test_the_wire_format_of_the_stored_edit_is_json(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    fields = drawn(workflow, note="½ “quoted” \U0001f9fe") | {"step": "confirmed"}
    answer(logged_in(approver), workflow, "modified", **fields)
    workflow.refresh_from_db()
    assert json.loads(json.dumps(workflow.response_data))["note"] == "½ “quoted” \U0001f9fe"
