"""The pages of a team's policies: the list, the editor, the versions, and what is done with one."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from dashboard.drafts.starting import STARTS
from dashboard.policy_editor import FORM, YAML, Editor
from dashboard.team_area import managed, page, user_of
from hitl.accounts.models import Team
from hitl.lib.errors import HitlError, InvalidInput
from workflows import policy_books, policy_files
from workflows.models import Policy, PolicyVersion
from workflows.policies import plain
from workflows.policy_books import Overtaken
from workflows.policy_cast import Cast


@dataclass(frozen=True)
class Row:
    """A policy on the list: in a sentence, where it is used, who saved it last."""

    policy: Policy
    summary: str
    uses: list[str]
    version: PolicyVersion | None


@dataclass(frozen=True)
class Line:
    """A line of a comparison. `kind` is `same`, `old`, `new` or `gap`."""

    kind: str
    text: str


@managed
def index(request: HttpRequest, team: Team) -> HttpResponse:
    """All policies in plain words, and where they are used."""
    policies = list(Policy.objects.filter(team=team).select_related("team"))
    names = Cast.of(team).names
    newest = policy_books.newest_versions(policies)
    rows = [
        Row(each, plain.summary(each.document, names), policy_books.uses(each), newest.get(each.pk))
        for each in policies
    ]
    return page(
        request,
        "policies",
        team,
        "policies",
        rows=[row for row in rows if not row.policy.archived_at],
        archived=[row for row in rows if row.policy.archived_at],
        has_default=any(row.policy.is_default for row in rows),
        starts=STARTS,
    )


@managed
def new(request: HttpRequest, team: Team) -> HttpResponse:
    """A policy that is not saved yet."""
    cast = Cast.of(team)
    if request.method == "POST":
        return _posted(request, Editor.posted(cast, None, request.POST))
    return _editor(request, Editor.begun(cast, request.GET.get("start", ""), _mode(request)))


@managed
def edit(request: HttpRequest, team: Team, policy_id: UUID) -> HttpResponse:
    """A policy of the team."""
    policy = policy_books.find(team, policy_id)
    cast = Cast.of(team)
    if request.method == "POST":
        return _posted(request, Editor.posted(cast, policy, request.POST))
    return _editor(request, Editor.opened(cast, policy, _mode(request)))


def _mode(request: HttpRequest) -> str:
    return YAML if request.GET.get("as") == YAML else FORM


def _posted(request: HttpRequest, editor: Editor) -> HttpResponse:
    button = request.POST.get("do", "look")
    if button not in ("save", "save-over"):
        editor.press(button)
        return _editor(request, editor)
    try:
        policy = _save(request, editor, over=button == "save-over")
    except HitlError as error:
        editor.refuse(error)
        return _editor(request, editor)
    messages.success(request, f"Saved: version {policy.version} of {policy.name}.")
    return redirect("policies", slug=policy.team.slug)


def _save(request: HttpRequest, editor: Editor, *, over: bool) -> Policy:
    document = editor.document()
    policy = editor.policy
    if policy is not None and editor.version is None:
        raise InvalidInput("The page does not say which version it shows: open it again.")
    return policy_books.save_policy(
        editor.cast.team,
        document,
        by=user_of(request),
        policy_id=policy.pk if policy else None,
        expected_version=None if over else editor.version,
        note=editor.note,
    )


def _editor(request: HttpRequest, editor: Editor) -> HttpResponse:
    status = editor.error.status if editor.error else 200
    return page(
        request,
        "policy",
        editor.cast.team,
        "policies",
        status=status,
        editor=editor,
        draft=editor.draft,
        choices=editor.choices,
        overtaken=editor.error if isinstance(editor.error, Overtaken) else None,
    )


# --- Versions ------------------------------------------------------------------------------------


@managed
def history(request: HttpRequest, team: Team, policy_id: UUID) -> HttpResponse:
    """Who saved which version when, and what changed."""
    policy = policy_books.find(team, policy_id)
    return _history(request, team, policy)


def _history(
    request: HttpRequest, team: Team, policy: Policy, error: HitlError | None = None
) -> HttpResponse:
    cast = Cast.of(team)
    versions = list(policy.versions.select_related("created_by"))
    texts = [policy_files.write([each.document], cast=cast) for each in versions]
    return page(
        request,
        "policy_history",
        team,
        "policies",
        status=error.status if error else 200,
        policy=policy,
        entries=told(versions, texts),
        error=error,
    )


@managed
def restore_version(request: HttpRequest, team: Team, policy_id: UUID, number: int) -> HttpResponse:
    """Save an earlier version anew."""
    policy = policy_books.find(team, policy_id)
    if request.method != "POST":
        return redirect("policy-history", slug=team.slug, policy_id=policy.pk)
    shown = request.POST.get("version", "")
    try:
        saved = policy_books.restore_version(
            team,
            policy.pk,
            number,
            by=user_of(request),
            expected_version=int(shown) if shown.isdigit() and len(shown) < 9 else 0,
        )
    except HitlError as error:
        if error.status == 404:
            raise
        return _history(request, team, policy, error)
    messages.success(request, f"Version {number} stands again, as version {saved.version}.")
    return redirect("policy-history", slug=team.slug, policy_id=policy.pk)


def told(versions: Sequence[Any], texts: Sequence[str]) -> list[dict[str, Any]]:
    """Versions, newest first, each with what it changed in the text before it."""
    before = [*texts[1:], ""][: len(texts)]
    return [
        {"version": version, "lines": list(_lines(old, new))}
        for version, new, old in zip(versions, texts, before, strict=True)
    ]


def _lines(old: str, new: str) -> Iterator[Line]:
    """Two texts line by line, with a few lines around each change."""
    for line in difflib.unified_diff(old.split("\n"), new.split("\n"), lineterm="", n=2):
        if line.startswith(("---", "+++")):
            continue
        if line.startswith("@@"):
            yield Line("gap", "")
        else:
            kind = {"+": "new", "-": "old"}.get(line[:1], "same")
            yield Line(kind, line[1:])


# --- Use -----------------------------------------------------------------------------------------


@managed
def use(request: HttpRequest, team: Team, **place: Any) -> HttpResponse:
    """Archive, bring back, make the default: the button says which."""
    policy_id = place["policy_id"]
    if request.method != "POST":
        return redirect("policies", slug=team.slug)
    try:
        messages.success(request, _use(request, team, policy_id))
    except HitlError as error:
        if error.status == 404:
            raise
        messages.error(request, error.detail)
    return redirect("policies", slug=team.slug)


def _use(request: HttpRequest, team: Team, policy_id: UUID) -> str:
    by = user_of(request)
    match request.POST.get("do", ""):
        case "archive":
            return f"{policy_books.archive(team, policy_id, by=by).name} is archived."
        case "restore":
            return f"{policy_books.unarchive(team, policy_id, by=by).name} is in use again."
        case "default":
            policy_books.make_default(team, policy_id, by=by)
            return f"{policy_books.find(team, policy_id).name} is the team’s default now."
        case "no-default":
            policy_books.make_default(team, None, by=by)
            return "The team has no default now: any approver decides where nothing names a policy."
    raise InvalidInput("There is no such button.")
