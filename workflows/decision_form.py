"""What a person needs to decide, and how the answer comes in: shared by dashboard and mail pages.

Everything shown as a fact is drawn from the stored data; the agent's own prose never is.
"""

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.http import QueryDict

from hitl.accounts import selectors as accounts
from hitl.accounts.models import User
from hitl.lib.db import database_now
from hitl.lib.errors import FieldError, HitlError, InvalidInput, NotFound
from hitl.lib.text import has_deceptive, one_line
from workflows import cases, deciding, diff, forms, guests, json_schema, messages, services
from workflows.cases import CaseFile
from workflows.models import Executor, TimeoutAction, Verdict, Workflow

HIGHLIGHTS = 4
LABEL_LIMIT, VALUE_LIMIT = 40, 80
COMMENT_LIMIT = 5000
FIELDS = "/responseData"  # where errors of the form's fields point to, as on the API
# What the page itself posts beside the fields of the form.
OWN_FIELDS = frozenset(
    {"csrfmiddlewaretoken", "decision", "fingerprint", "comment", "step", "stage", "round"}
    | {"behalf"}
)


@dataclass(frozen=True)
class Happening:
    """What an approval sets off: who acts, and where to or by what means."""

    by: str
    actor: str
    target: str


@dataclass(frozen=True)
class Review:
    """Edits before they are sent: the complete edited data and what it changes."""

    data: Any
    rows: list[diff.DiffRow]


def context(
    workflow: Workflow,
    *,
    user: User | None = None,
    post: QueryDict | None = None,
    error: HitlError | None = None,
    editing: bool = False,
) -> dict[str, Any]:
    """What `templates/workflows/_*.html` draw.

    `post` and `error` bring back what was sent and what is wrong with it. `editing` draws the form
    with inputs; without it the same data is for reading. `hindrance` says why `user` cannot
    decide, "" where nothing is in the way.
    """
    errors = error.errors if error else []
    editing = editing and workflow.is_open and workflow.ui_schema is not None
    form = _form(workflow, post if editing else None, errors)
    file = cases.load(workflow, now=database_now()) if user else None
    return {
        "workflow": workflow,
        "happening": happening(workflow),
        "form": form,
        "tree": None if form else forms.tree(workflow.current_data),
        "fingerprint": workflow.current_fingerprint,
        "fingerprint_short": short(workflow.current_fingerprint),
        "can_edit": form is not None and form.is_editable,
        "editing": editing,
        "silence": messages.SILENCE[TimeoutAction(workflow.timeout_action)],
        "deceptive": messages.is_deceptive(workflow),
        "hindrance": _hindrance(file, user) if file and user else "",
        "file": file,
        "table": _table(workflow),
        "table_by": _editor(file) if file and workflow.is_open else "",
        "seats": _seats(file, user) if file and user else [],
        "chosen": post.get("behalf", "") if post else "",
        "step_up": _wants_second_factor(file) if file else False,
        "comment": post.get("comment", "") if post else "",
        "comment_error": next((e.message for e in errors if e.pointer == "/comment"), ""),
        "error": error,
    }


def _table(workflow: Workflow) -> list[diff.DiffRow]:
    """What somebody who answered before has changed about what was asked."""
    if not workflow.is_open or not workflow.proposed_fingerprint:
        return []
    return diff.rows(workflow.action_data, workflow.proposed_data, schema=workflow.ui_schema)


def _editor(file: CaseFile) -> str:
    """Who put the data on the table; "" where it is what was asked."""
    wanted = file.workflow.proposed_fingerprint
    made = [one for one in file.decisions if wanted and one.result_fingerprint == wanted]
    return str(made[-1].user) if made else ""


def _form(
    workflow: Workflow, post: QueryDict | None, errors: list[FieldError]
) -> forms.Form | None:
    if workflow.ui_schema is None:
        return None
    placed = [
        replace(error, pointer=error.pointer.removeprefix(FIELDS))
        for error in errors
        if error.pointer.startswith(FIELDS)
    ]
    submitted = dict(post.lists()) if post is not None else None
    return forms.build(
        workflow.ui_schema, workflow.current_data, errors=placed, submitted=submitted
    )


def short(fingerprint: str) -> str:
    """Enough of a fingerprint to compare two at a glance."""
    name, _, digest = fingerprint.partition(":")
    return f"{name}:{digest[:12]}…" if digest else f"{name[:12]}…"


def happening(workflow: Workflow) -> Happening:
    """What an approval sets off, from the frozen plan and the data alone."""
    plan = workflow.execution_plan
    by, config = str(plan["by"]), plan.get("config", {})
    if by == Executor.AGENT:
        return Happening(by, workflow.agent.name, "")
    if by == Executor.HTTP:
        host = urlsplit(str(config.get("url", ""))).netloc.rpartition("@")[2]
        return Happening(by, "hitl", host)
    if by == Executor.FUNCTION:
        return Happening(by, "hitl", str(config.get("function", "")))
    data = workflow.current_data if isinstance(workflow.current_data, dict) else {}
    to = data.get("to", "")
    return Happening(by, "hitl", ", ".join(map(str, to)) if isinstance(to, list) else str(to))


def hindrance(workflow: Workflow, user: User) -> str:
    """Why this person cannot decide now, for the page; the gate itself is `services.decide`."""
    return _hindrance(cases.load(workflow, now=database_now()), user)


def _hindrance(file: CaseFile, user: User) -> str:
    workflow = file.workflow
    member = accounts.membership(workflow.team_id, user.pk)
    if member is None:
        reason = guests.hindrance(workflow, user.pk)
        if reason:
            return reason
    elif not member.may_decide:
        return f"Your role in {workflow.team.name} is {member.role}: you may look only."
    return deciding.why_not(file, user) if workflow.is_open else ""


def _seats(file: CaseFile, user: User) -> list[tuple[str, str]]:
    """For whom somebody who stands in may answer, by id; nothing for those who are just themselves.

    A person's own place comes first.
    """
    own = str(user.pk)
    seats = file.case.seats(own)
    if all(seat.person == own for seat in seats):
        return []
    return [
        (seat.person, "Myself" if seat.person == own else file.names.person(seat.person))
        for seat in seats
    ]


def _wants_second_factor(file: CaseFile) -> bool:
    stage = file.case.stage
    return stage is not None and stage.wants_second_factor(file.workflow.risk)


def submit(
    workflow_id: UUID,
    *,
    user: User,
    post: QueryDict,
    source: str,
    delivery_id: UUID | None = None,
    strength: str = "session",
    round: int | None = None,  # the wire name
) -> services.Decided:
    """Decide as the posted form says; the one way from a page to `services.decide`.

    `round` is the one a message asked in; without, the form says which it was drawn in.

    Raises InvalidInput with pointers (/decision, /comment, or below /responseData for fields) and
    everything `services.decide` raises.
    """
    verdict = _verdict(post)
    comment = _comment(post, verdict)
    edited = None
    if verdict == Verdict.MODIFIED:
        edited = review(_get(workflow_id), post).data
    return services.decide(
        workflow_id,
        user=user,
        verdict=verdict,
        fingerprint=post.get("fingerprint", ""),
        source=source,
        comment=comment,
        response_data=edited,
        delivery_id=delivery_id,
        strength=strength,
        stage=_number(post, "stage"),
        behalf=_behalf(post),
        round=round or _number(post, "round"),
    )


def review(workflow: Workflow, post: QueryDict) -> Review:
    """Read and check the posted fields without deciding. Raises InvalidInput."""
    if workflow.ui_schema is None:
        raise InvalidInput("This request has no form, so its data cannot be edited.")
    _comment(post, Verdict.MODIFIED)
    try:
        data = forms.parse(workflow.ui_schema, workflow.current_data, dict(post.lists()))
        json_schema.check_edit(workflow.ui_schema, workflow.current_data, data)
    except InvalidInput as error:
        raise _below_fields(error) from None
    return Review(data, diff.rows(workflow.current_data, data, schema=workflow.ui_schema))


def _below_fields(error: InvalidInput) -> InvalidInput:
    """The data may have a field called `comment`: tell its errors from those of our own."""
    placed = [replace(one, pointer=FIELDS + one.pointer) for one in error.errors]
    return InvalidInput(error.detail, placed)


def carried(post: QueryDict) -> list[tuple[str, str]]:
    """The posted fields of the form, to be posted again after the person has seen the changes."""
    return [
        (name, value) for name in post if name not in OWN_FIELDS for value in post.getlist(name)
    ]


def _get(workflow_id: UUID) -> Workflow:
    workflow = Workflow.objects.filter(pk=workflow_id).first()
    if workflow is None:
        raise NotFound("There is no such workflow.")
    return workflow


def _number(post: QueryDict, name: str) -> int | None:
    """The stage or round the person was shown; pages of another release do not say."""
    text = post.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None


def _behalf(post: QueryDict) -> UUID | None:
    text = post.get("behalf", "")
    try:
        return UUID(text) if text else None
    except ValueError:
        message = "Choose for whom you answer."
        raise InvalidInput(message, [FieldError("/behalf", message)]) from None


def _verdict(post: QueryDict) -> Verdict:
    try:
        return Verdict(post.get("decision", ""))
    except ValueError:
        message = "Choose to approve or to reject."
        raise InvalidInput(message, [FieldError("/decision", message)]) from None


def _comment(post: QueryDict, verdict: Verdict) -> str:
    comment = post.get("comment", "").strip()
    message = ""
    if verdict == Verdict.REJECTED and not comment:
        message = "Say why, so that the agent can do better."
    elif len(comment) > COMMENT_LIMIT:
        message = f"At most {COMMENT_LIMIT} characters, please."
    elif "\0" in comment:
        message = "The comment holds a character that cannot be stored."
    if message:
        raise InvalidInput(message, [FieldError("/comment", message)])
    return comment


@dataclass(frozen=True)
class Highlight:
    """One plain value of the data, fit to be shown in a line."""

    label: str
    value: str
    is_deceptive: bool


def highlights(workflow: Workflow) -> list[Highlight]:
    """The first few plain values of the data, labelled: what a row in a list says."""
    data = workflow.current_data
    if not isinstance(data, dict):
        return []
    schema = workflow.ui_schema or {}
    fields = schema.get("properties", {})
    names = dict.fromkeys([*schema.get("x-order", ()), *data])
    plain = (name for name in names if isinstance(data.get(name), str | int | float) and data[name])
    return [
        _highlight(str(fields.get(name, {}).get("title") or name), data[name])
        for name, _ in zip(plain, range(HIGHLIGHTS), strict=False)
    ]


def _highlight(label: str, value: Any) -> Highlight:
    text = "yes" if value is True else str(value)
    return Highlight(
        one_line(label, LABEL_LIMIT),
        one_line(text, VALUE_LIMIT),
        has_deceptive(label) or has_deceptive(text),
    )
