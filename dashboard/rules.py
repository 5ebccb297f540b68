"""The pages of a team's rules: all of them in one form or as YAML, tried before they are saved."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect

from dashboard.drafts import posts
from dashboard.drafts.buttons import press
from dashboard.drafts.rules import RulesDraft
from dashboard.policies import told
from dashboard.policy_editor import FORM, MAX_YAML, YAML, Choices
from dashboard.team_area import managed, page, user_of
from hitl.accounts.models import Team
from hitl.lib.errors import HitlError, InvalidInput
from workflows import policy_books, policy_files, rule_words, trials
from workflows.models import RuleSet
from workflows.policy_books import Overtaken
from workflows.policy_cast import Cast

EMPTY = "rules: []\n"


@dataclass
class RulesEditor:
    """All rules of a team being edited; `number` is the set that was read."""

    team: Team
    mode: str = FORM
    draft: RulesDraft = field(default_factory=RulesDraft)
    yaml: str = ""
    note: str = ""
    number: int | None = 0
    homeless: list[str] = field(default_factory=list)
    error: HitlError | None = None
    trial: trials.Trial | None = None

    @classmethod
    def opened(cls, team: Team, mode: str) -> "RulesEditor":
        """The rules in force."""
        stored = policy_books.rules_of(team)
        editor = cls(team, number=stored.number)
        editor._show(stored.rules, mode)
        return editor

    @classmethod
    def posted(cls, team: Team, post: QueryDict) -> "RulesEditor":
        """What somebody has typed so far."""
        values = posts.nest(post)
        number = posts.text(values, "version")
        return cls(
            team,
            mode=YAML if posts.text(values, "mode") == YAML else FORM,
            draft=RulesDraft.read(values),
            yaml=post.get("yaml", "")[:MAX_YAML].replace("\r\n", "\n"),
            note=posts.text(values, "note"),
            number=int(number) if number.isdigit() and len(number) < 9 else None,
        )

    def press(self, button: str) -> None:
        """Do what any button but "Save" says."""
        if press(self.draft, button) or button not in ("try", YAML, FORM):
            return
        try:
            rules = self.document()
        except InvalidInput as error:
            self.refuse(error)
            return
        if button == "try":
            stored = policy_books.rules_of(self.team).rules
            self.trial = trials.try_rules(self.team, stored, rules)
        else:
            self._show(rules, button)

    def document(self) -> list[dict[str, Any]]:
        """The rules as they were typed, in normal form. Raises InvalidInput."""
        if self.mode == YAML:
            if self.yaml.strip() in ("", EMPTY.strip()):
                return []
            found = policy_files.read(self.yaml, cast=Cast.of(self.team))
            if found.policies:
                raise InvalidInput("Write rules only. Policies have pages of their own.")
            return found.rules
        rules, written = self.draft.write()
        return written.judged(lambda: policy_books.check_rules(self.team, rules))

    def refuse(self, error: HitlError) -> None:
        """Put the faults to their fields, and what belongs to none on top."""
        self.error = error
        if self.mode == FORM and isinstance(error, InvalidInput):
            _, written = self.draft.write()
            self.homeless = [fault.message for fault in written.show(error.errors)]
            return
        self.homeless = policy_files.sentences(error)

    def _show(self, rules: list[dict[str, Any]], mode: str) -> None:
        self.yaml = policy_files.write([], rules, cast=Cast.of(self.team)) if rules else EMPTY
        self.draft = RulesDraft.of(rules)
        self.mode = mode

    @cached_property
    def words(self) -> list[tuple[str, str]]:
        """Each rule in a sentence; empty while they are not whole."""
        return [(rule["name"], rule_words.explain(rule)) for rule in self._judged or []]

    @cached_property
    def missing(self) -> list[str]:
        """What stands in the way of saving, each with its rule."""
        try:
            self.document()
        except InvalidInput as error:
            return [self._placed(fault.pointer, fault.message) for fault in error.errors] or [
                str(error)
            ]
        return []

    @cached_property
    def _judged(self) -> list[dict[str, Any]] | None:
        try:
            return self.document()
        except InvalidInput:
            return None

    def _placed(self, place: str, message: str) -> str:
        number = place.split("/")[1] if place.startswith("/") else ""
        if self.mode == YAML or not number.isdigit() or int(number) >= len(self.draft.rules):
            return message
        name = self.draft.rules[int(number)].name or f"Rule {int(number) + 1}"
        return f"{name}: {message}"

    @cached_property
    def choices(self) -> Choices:
        """What the selects offer."""
        return Choices(Cast.of(self.team))

    @cached_property
    def policies(self) -> list[tuple[str, str]]:
        """The policies that a rule can demand."""
        names = policy_books.active_names(self.team)
        return [("", "whichever there is otherwise"), *((name, name) for name in names)]

    thens = (
        ("ask", "ask people"),
        ("deny", "reject without asking"),
        ("approve", "approve without asking"),
    )


@managed
def edit(request: HttpRequest, team: Team) -> HttpResponse:
    """All rules of the team."""
    if request.method != "POST":
        mode = YAML if request.GET.get("as") == YAML else FORM
        return _editor(request, RulesEditor.opened(team, mode))
    editor = RulesEditor.posted(team, request.POST)
    button = request.POST.get("do", "look")
    if button not in ("save", "save-over"):
        editor.press(button)
        return _editor(request, editor)
    try:
        saved = _save(request, editor, over=button == "save-over")
    except HitlError as error:
        editor.refuse(error)
        return _editor(request, editor)
    messages.success(request, f"Saved: version {saved.number} of the rules.")
    return redirect("rules", slug=team.slug)


def _save(request: HttpRequest, editor: RulesEditor, *, over: bool) -> RuleSet:
    rules = editor.document()
    if editor.number is None:
        raise InvalidInput("The page does not say which version it shows: open it again.")
    return policy_books.save_rules(
        editor.team,
        rules,
        by=user_of(request),
        expected_number=None if over else editor.number,
        note=editor.note,
    )


def _editor(request: HttpRequest, editor: RulesEditor) -> HttpResponse:
    return page(
        request,
        "rules",
        editor.team,
        "rules",
        status=editor.error.status if editor.error else 200,
        editor=editor,
        draft=editor.draft,
        choices=editor.choices,
        overtaken=editor.error if isinstance(editor.error, Overtaken) else None,
    )


@managed
def history(request: HttpRequest, team: Team) -> HttpResponse:
    """Who saved which rules when, and what changed; a POST saves an earlier set anew."""
    sets = list(RuleSet.objects.filter(team=team).select_related("created_by"))
    error: HitlError | None = None
    if request.method == "POST":
        wanted = request.POST.get("number", "")
        old = next((each for each in sets if str(each.number) == wanted), None)
        try:
            if old is None:
                raise InvalidInput("There is no such version.")
            note = f"Version {old.number} restored"
            policy_books.save_rules(
                team, old.rules, by=user_of(request), expected_number=sets[0].number, note=note
            )
        except HitlError as found:
            error = found
        else:
            messages.success(request, f"The rules of version {old.number} are in force again.")
            return redirect("rules-history", slug=team.slug)
    cast = Cast.of(team)
    texts = [
        policy_files.write([], each.rules, cast=cast) if each.rules else EMPTY for each in sets
    ]
    return page(
        request,
        "rules_history",
        team,
        "rules",
        status=error.status if error else 200,
        entries=told(sets, texts),
        error=error,
    )
