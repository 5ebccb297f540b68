"""The modals: asked through a real call, filled in by the stand-in, read back."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deliveries.channels.base import ChannelError, FormField, Reply
from deliveries.channels.slack import SlackChannel, forms
from tests.deliveries.channels.slack.conftest import ANN, KEY, pressed, request_of, send
from tests.deliveries.factories import make_message
from tests.standins.slack import SlackServer, View, Workspace, block_kit, submit

PLACE = {"channel": "C0DEPLOY", "ts": "1.000001"}
REPLY = Reply("ask_edits", ANN, reference=KEY, place=PLACE)
FIELDS = [
    FormField("/amount", "Amount", "number", "120.50", required=True),
    FormField("/note", "Note", "long", "Damaged.\nSorry & <b>!", help="Shown to the customer."),
    FormField("/subject", "Subject", value="Refund"),
    FormField("/currency", "Currency", "choice", "EUR", [("EUR", "Euro"), ("USD", "Dollar")]),
    FormField("/urgent", "Urgent", "flag", "true", [("true", "Yes")]),
    FormField("/silent", "Silent", "flag"),
    FormField("/customer", "Customer", value="C-1", read_only=True),
]


def ask(workspace: Workspace, fields: list[FormField], action: str = "hitl_edit") -> View:
    send()
    SlackChannel().ask(pressed(workspace, action), make_message(), fields)
    return workspace.views[-1]


def filled(workspace: Workspace, view: View, values: dict[str, Any]) -> Reply:
    [reply] = SlackChannel().parse(request_of(submit(workspace, view, values)))
    assert isinstance(reply, Reply)
    return reply


def test_untouched_form_gives_back_what_it_was_given(workspace: Workspace) -> None:
    reply = filled(workspace, ask(workspace, FIELDS), {})
    assert reply.decision == "modified"
    assert reply.values == {
        "/amount": ["120.50"],
        "/note": ["Damaged.\nSorry & <b>!"],
        "/subject": ["Refund"],
        "/currency": ["EUR"],
        "/urgent": ["true"],
        "/silent": [],
    }


def test_edits_come_back_under_their_names(workspace: Workspace) -> None:
    given = {"Amount": "90", "Note": "", "Currency": "Dollar", "Urgent": False, "Silent": True}
    reply = filled(workspace, ask(workspace, FIELDS), given | {"Comment": "Less will do."})
    assert reply.comment == "Less will do."
    assert reply.values == {
        "/amount": ["90"],
        "/note": [""],
        "/subject": ["Refund"],
        "/currency": ["USD"],
        "/urgent": [],
        "/silent": ["on"],
    }


def test_modal_shows_what_it_is_about_and_what_cannot_change(workspace: Workspace) -> None:
    view = ask(workspace, FIELDS).view
    assert view["title"]["text"] == "Edit, then approve"
    assert view["submit"]["text"] == "Approve with edits"
    shown = str(view["blocks"])
    assert "Refund order A-1009" in shown
    assert "9f86d081884c" in shown
    assert "Customer: C-1" in shown


def test_reason_is_required(workspace: Workspace) -> None:
    view = ask(workspace, [], "hitl_reject")
    with pytest.raises(ValueError, match="required"):
        submit(workspace, view, {})


def test_modal_carries_the_reference_and_the_place_and_no_more(workspace: Workspace) -> None:
    view = ask(workspace, FIELDS)
    reply = filled(workspace, view, {})
    assert reply.reference == KEY
    assert reply.place == {"channel": workspace.last.channel, "ts": workspace.last.ts}
    assert "Refund" not in view.view["private_metadata"]


@pytest.mark.parametrize(
    "field",
    [
        FormField("/long", "Value", value="x" * 3001),
        FormField("/hidden", "Value", value="pay \u202e now"),
        FormField("/carriage", "Value", "long", "a\r\nb"),
        FormField("/gone", "Value", "choice", "JPY", [("EUR", "Euro")]),
        FormField("/many", "Value", "choice", "1", [(f"{n}", f"{n}") for n in range(101)]),
        FormField("/endless", "Value", "choice", "y" * 200, [("y" * 200, "y")]),
        FormField("/name/" + "n" * 500, "Value"),
    ],
)
def test_what_slack_cannot_hold_unchanged_is_shown_and_left_alone(
    workspace: Workspace, field: FormField
) -> None:
    view = ask(workspace, [field, FormField("/other", "Other", value="x")])
    assert "Cannot be edited here" in str(view.view["blocks"])
    assert filled(workspace, view, {}).values == {"/other": ["x"]}


def test_nothing_to_edit_is_told_instead_of_asked(workspace: Workspace) -> None:
    with pytest.raises(ChannelError, match="dashboard") as caught:
        ask(workspace, [FormField("/id", "Id", value="1", read_only=True)])
    assert caught.value.permanent
    assert workspace.views == []


def test_optional_choice_may_stay_open(workspace: Workspace) -> None:
    field = FormField("/currency", "Currency", "choice", "", [("EUR", "Euro")])
    assert filled(workspace, ask(workspace, [field]), {}).values == {"/currency": []}


@pytest.mark.parametrize(("after", "code"), [(4, "expired"), (0, "invalid")])
def test_late_and_used_triggers_say_to_press_again(
    workspace: Workspace, after: int, code: str
) -> None:
    send()
    reply = pressed(workspace, "hitl_reject")
    if after:
        started = workspace.clock()
        workspace.clock = lambda: started + after
    else:
        SlackChannel().ask(reply, make_message(), [])
    with pytest.raises(ChannelError, match=f"{code}_trigger_id") as caught:
        SlackChannel().ask(reply, make_message(), [])
    assert caught.value.permanent


def test_hanging_slack_does_not_hold_up_the_click(slack: SlackServer) -> None:
    send()
    reply = pressed(slack.workspace, "hitl_reject")
    slack.does = "hang"
    with pytest.raises(ChannelError, match="in time"):
        SlackChannel().ask(reply, make_message(), [])


def test_fields_beyond_the_limits_are_counted(workspace: Workspace) -> None:
    fields = [FormField(f"/f{number}", f"Field {number}") for number in range(150)]
    view = ask(workspace, fields)
    assert "60 more values are left as they are" in str(view.view["blocks"])
    values = filled(workspace, view, {}).values
    assert values is not None
    assert len(values) == 90


words = st.text(max_size=50) | st.text("a<&>\n\u202e🙂\0", max_size=10).map(lambda t: t * 310)
form_fields = st.builds(
    FormField,
    name=words,
    label=words,
    kind=st.sampled_from(["text", "long", "number", "choice", "flag", "odd"]),
    value=words | st.from_regex(r"-?[0-9]{1,18}(\.[0-9]{1,12})?", fullmatch=True),
    choices=st.lists(st.tuples(words, words), max_size=5),
    help=words,
    required=st.booleans(),
    read_only=st.booleans(),
)


@settings(deadline=None)
@given(st.lists(form_fields, max_size=8))
def test_any_form_is_one_that_slack_takes(fields: list[FormField]) -> None:
    try:
        view = forms.edits(REPLY, make_message(), fields).to_dict()
    except ChannelError:
        return
    assert block_kit.check_view(view) == []


@settings(deadline=None)
@given(st.lists(form_fields.filter(lambda field: field.kind != "flag"), max_size=6))
def test_no_value_changes_by_being_shown(fields: list[FormField]) -> None:
    try:
        view = forms.edits(REPLY, make_message(), fields).to_dict()
    except ChannelError:
        return
    state = {
        block["block_id"]: {block["element"]["action_id"]: untouched(block["element"])}
        for block in view["blocks"]
        if block["type"] == "input"
    }
    values = forms.read({**view, "state": {"values": state}}).values
    for field in fields:
        if [each.name for each in fields].count(field.name) == 1 and field.name in values:
            assert "".join(values[field.name]) == field.value


def untouched(element: dict[str, Any]) -> dict[str, Any]:
    if element["type"] == "static_select":
        return {"selected_option": element.get("initial_option")}
    return {"value": element.get("initial_value")}


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"private_metadata": "{", "state": []},
        {"private_metadata": "[1]", "state": {"values": []}},
        {"private_metadata": '{"place": 7}', "state": {"values": {"f0:x": [], "comment": None}}},
        {"state": {"values": {"f0:x": {"v:": {"selected_options": ["x", {"value": "raw"}]}}}}},
        {"state": {"values": {"f0:%ff%": {"v:": {"value": 7}}, "g": {"v:": {"value": "x"}}}}},
    ],
)
def test_broken_views_are_read_without_harm(broken: dict[str, Any]) -> None:
    found = forms.read(broken)
    assert found.comment == ""
    assert found.place == {}
    assert not any(found.values.values())
