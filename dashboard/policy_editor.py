"""What the editor of a policy shows: the form or the YAML, the policy in words, faults, a dry run.

Everything comes from one post and goes back to the page whatever happens, so that nothing that was
typed is lost. Saving is the caller's: `document` is the judged policy, or raises.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.http import QueryDict

from dashboard.drafts import posts
from dashboard.drafts.buttons import press
from dashboard.drafts.conditions import COMPARISONS
from dashboard.drafts.conditions import KINDS as CONDITION_KINDS
from dashboard.drafts.policy import PolicyDraft, is_shown_whole
from dashboard.drafts.starting import begin
from deliveries.channels import channel_choices
from hitl.accounts.models import Role
from hitl.lib.errors import FieldError, HitlError, InvalidInput
from hitl.lib.text import one_line
from workflows import policy_books, policy_files, trials
from workflows.models import Policy, Risk, TimeoutAction, Workflow
from workflows.policies import plain
from workflows.policies.request import WEEKDAYS
from workflows.policy_cast import Cast

FORM, YAML = "form", "yaml"
MAX_YAML = 128_000
REQUESTS_LOOKED_AT = 50


@dataclass
class Editor:
    """One policy being edited. `policy` None: a new one. `version` is the one that was read."""

    cast: Cast
    policy: Policy | None = None
    mode: str = FORM
    draft: PolicyDraft = field(default_factory=PolicyDraft)
    yaml: str = ""
    note: str = ""
    version: int | None = None
    try_on: str = ""
    homeless: list[str] = field(default_factory=list)
    error: HitlError | None = None
    trial: trials.Trial | None = None
    # Why the form cannot be shown instead of the YAML.
    only_yaml: str = ""

    # --- Beginnings ------------------------------------------------------------------------------

    @classmethod
    def opened(cls, cast: Cast, policy: Policy, mode: str) -> "Editor":
        """A stored policy, in the form where that can show all of it."""
        editor = cls(cast, policy, version=policy.version)
        editor._show(policy.document, mode)
        return editor

    @classmethod
    def begun(cls, cast: Cast, start: str, mode: str) -> "Editor":
        """A new policy: with one of the beginnings, or an empty field for YAML."""
        return cls(cast, mode=mode, draft=begin(start, cast))

    @classmethod
    def posted(cls, cast: Cast, policy: Policy | None, post: QueryDict) -> "Editor":
        """What somebody has typed so far."""
        values = posts.nest(post)
        version = posts.text(values, "version")
        mode = YAML if posts.text(values, "mode") == YAML else FORM
        return cls(
            cast,
            policy,
            mode=mode,
            draft=PolicyDraft.read(values),
            yaml=post.get("yaml", "")[:MAX_YAML].replace("\r\n", "\n"),
            note=posts.text(values, "note"),
            version=int(version) if version.isdigit() and len(version) < 9 else None,
            try_on=posts.text(values, "try_on"),
        )

    # --- Buttons ---------------------------------------------------------------------------------

    def press(self, button: str) -> None:
        """Do what any button but "Save" says; faults come to the page."""
        if press(self.draft, button) or button not in ("try", YAML, FORM):
            return
        try:
            document = self.document()
        except InvalidInput as error:
            self.refuse(error)
            return
        if button == "try":
            self.trial = self._try(document)
        else:
            self._show(document, button)

    def document(self) -> dict[str, Any]:
        """The policy as it was typed, in normal form. Raises InvalidInput."""
        if self.mode == YAML:
            return policy_files.read_policy(self.yaml, cast=self.cast)
        document, written = self.draft.write()
        return written.judged(lambda: policy_books.check_policy(document, self.cast))

    def refuse(self, error: HitlError) -> None:
        """Put the faults to their fields, and what belongs to none on top."""
        self.error = error
        if self.mode == FORM and isinstance(error, InvalidInput):
            _, written = self.draft.write()
            self.homeless = [fault.message for fault in written.show(error.errors)]
            return
        self.homeless = [self._with_its_line(said) for said in policy_files.sentences(error)]

    def _with_its_line(self, said: str) -> str:
        """A fault of the YAML with the words of its line."""
        number = said.removeprefix("Line ").partition(":")[0]
        lines = self.yaml.split("\n")
        if not said.startswith("Line ") or not number.isdigit() or int(number) > len(lines):
            return said
        return f"{said} — {one_line(lines[int(number) - 1].strip(), 80)}"

    def _show(self, document: Mapping[str, Any], mode: str) -> None:
        """A policy in normal form, in the form if that is wanted and possible."""
        self.yaml = policy_files.write([dict(document)], cast=self.cast)
        self.draft = PolicyDraft.of(document)
        if mode == FORM and not is_shown_whole(document):
            self.only_yaml = (
                "This policy says more than the form can show, so it is edited as YAML."
            )
            mode = YAML
        self.mode = mode

    def _try(self, document: dict[str, Any]) -> trials.Trial:
        kind, _, name = self.try_on.partition(":")
        return trials.try_policy(
            self.cast.team,
            document,
            action_type=name if kind == "type" else "",
            named=self.policy.name if kind == "own" and self.policy else "",
        )

    # --- What the page shows ---------------------------------------------------------------------

    @cached_property
    def words(self) -> list[str]:
        """The policy in plain words; empty while it is not whole."""
        return plain.explain(self._judged, self.cast.names) if self._judged else []

    @cached_property
    def warnings(self) -> list[str]:
        """What it asks that nobody can give now."""
        return self.cast.warnings(self._judged) if self._judged else []

    @cached_property
    def missing(self) -> list[str]:
        """What stands in the way of a whole policy, each with its place."""
        try:
            self.document()
        except InvalidInput as error:
            return [self._placed(fault) for fault in error.errors] or [str(error)]
        return []

    @cached_property
    def _judged(self) -> dict[str, Any] | None:
        try:
            return self.document()
        except InvalidInput:
            return None

    def _placed(self, fault: FieldError) -> str:
        if self.mode == YAML:
            return fault.message
        said = fault.message
        parts = fault.pointer.split("/")
        if fault.pointer == "/name":
            return "Give the policy a name."
        if parts[1:2] != ["stages"] or len(parts) < 3:
            return said
        stage = self.draft.stages[int(parts[2])] if parts[2].isdigit() else None
        name = (stage.name if stage else "") or f"Stage {int(parts[2]) + 1}"
        within = "escalation, " if "escalation" in parts else ""
        return f"{name}: {within}{said[0].lower() + said[1:] if said[:1].isupper() else said}"

    @cached_property
    def choices(self) -> "Choices":
        """What the selects offer."""
        return Choices(self.cast)

    @property
    def try_choices(self) -> list[tuple[str, str]]:
        """Which requests a dry run can be made on."""
        own = [("own", f"Requests that had {self.policy.name}")] if self.policy else []
        kinds = [(f"type:{name}", f"Only {name}") for name in self.choices.action_types]
        return [("", "All requests of the team"), *own, *kinds]


@dataclass(frozen=True)
class Choices:
    """The options of the editor's selects, from what the team has."""

    cast: Cast
    conditions = CONDITION_KINDS
    comparisons = COMPARISONS
    weekdays = WEEKDAYS
    risks = tuple(Risk.choices)
    rejections = (
        ("deny", "One rejection rejects the request"),
        ("impossible", "A rejection counts once the others cannot make up the number"),
    )
    joins = (("all", "all of these are needed"), ("any", "any one of these is enough"))
    modes = (("add", "in addition to the others"), ("replace", "instead of the others"))
    counts = (*((str(n), str(n)) for n in range(1, 11)), ("all", "all"))
    silences = (
        ("", "do as the request or its type says"),
        (TimeoutAction.REJECT.value, "reject it (it times out)"),
        (TimeoutAction.HOLD.value, "hold it until somebody decides"),
        (TimeoutAction.ESCALATE.value, "take the next step of the escalation"),
        (TimeoutAction.APPROVE.value, "approve it (low risk only)"),
    )

    own_silences = silences[1:]

    @property
    def channels(self) -> list[tuple[str, str]]:
        return channel_choices()

    @cached_property
    def people(self) -> list[tuple[str, str]]:
        """Everybody who may decide, by id."""
        return [(id_, str(u)) for id_, u in self.cast.users.items() if id_ in self.cast.deciding]

    @cached_property
    def whom(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """The one select of who is asked, in groups."""
        groups = [(f"group:{slug}", group.name) for slug, group in self.cast.groups.items()]
        people = [(f"user:{id_}", name) for id_, name in self.people]
        return [
            ("", [("team", "Any approver")]),
            ("Groups", groups),
            ("One person", people),
            ("By role", [(f"role:{Role.MANAGER}", "Managers"), (f"role:{Role.APPROVER}",
                         "Approvers and managers")]),
            ("Other", [("users", "Several people …"), ("owner", "The agent’s owner"),
                       ("expression", "An expression over the person (CEL) …")]),
        ]  # fmt: skip

    @cached_property
    def _recent(self) -> list[tuple[str, Any]]:
        rows = Workflow.objects.filter(team=self.cast.team).order_by("-created_at")
        return list(rows.values_list("action_type", "action_data")[:REQUESTS_LOOKED_AT])

    @cached_property
    def action_types(self) -> list[str]:
        """The kinds of actions that were asked for lately."""
        return sorted({kind for kind, _ in self._recent})

    @cached_property
    def fields(self) -> list[str]:
        """Fields of the data that were sent lately, and the others that conditions may read."""
        seen = {key for _, data in self._recent if isinstance(data, dict) for key in data}
        names = sorted(name for name in seen if name.isidentifier())[:60]
        return [*names, "risk", "action_type", "agent.name", "time.weekday", "time.hour"]
