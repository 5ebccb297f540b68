"""What a new policy can begin with, so that nobody faces an empty form."""

from collections.abc import Callable
from dataclasses import dataclass

from dashboard.drafts.conditions import SIMPLE, Condition
from dashboard.drafts.people import TEAM, Block, Need, Place, Who
from dashboard.drafts.policy import PolicyDraft, Reminder, Stage, Step
from workflows.policy_cast import Cast


@dataclass(frozen=True)
class Start:
    """One way to begin: what it is called and what it does, in a sentence."""

    key: str
    title: str
    says: str
    make: Callable[[Cast], PolicyDraft]


def _one(cast: Cast) -> PolicyDraft:
    return PolicyDraft(stages=[_stage("Any approver", TEAM)])


def _two(cast: Cast) -> PolicyDraft:
    return PolicyDraft(stages=[_stage("", _group(cast), "2")])


def _finance(cast: Cast) -> PolicyDraft:
    finance = _stage("Finance", _group(cast), "2")
    cfo = _stage("CFO", "")
    cfo.condition = Condition(SIMPLE, "amount", ">", "10,000")
    for stage in (finance, cfo):
        stage.reminders = [Reminder("1h")]
        stage.steps = [Step("4h")]
    return PolicyDraft(stages=[finance, cfo], timeout="1d", timeout_action="reject")


def _stage(name: str, who: str, count: str = "1") -> Stage:
    return Stage(name, Need(blocks=[Block(places=[Place(Who(who), count)])]))


def _group(cast: Cast) -> str:
    """The group for money where there is one, or the only one there is; else nobody yet."""
    slugs = list(cast.groups)
    if "finance" in slugs:
        return "group:finance"
    return f"group:{slugs[0]}" if len(slugs) == 1 else ""


STARTS = (
    Start("one", "One approver", "Anybody who may decide; one answer is enough.", _one),
    Start("two", "Two of a group", "Two different people of one group have to agree.", _two),
    Start(
        "stages",
        "Two of Finance, then the CFO",
        "Two of a group, then one person above 10,000. Reminds after 1 hour, asks a deputy after "
        "4 hours, rejects after 1 day.",
        _finance,
    ),
)


def begin(key: str, cast: Cast) -> PolicyDraft:
    """The draft that a start makes; an unknown one begins with the simplest."""
    start = next((start for start in STARTS if start.key == key), STARTS[0])
    draft = start.make(cast)
    draft.number()
    return draft
