"""Policies and rules tried on requests there have been, before they are saved.

Nothing is written. People are taken as they are now; a request keeps the data, the time and the
answers it had. What comes out is a list of requests that would have gone another way, in words.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from hitl.accounts.models import Team
from workflows import cases
from workflows.models import Decision, Verdict, Withdrawal, Workflow
from workflows.policies import Act, Case, People, Vote, plain
from workflows.policies import Withdrawal as Retraction
from workflows.policies import rules as rule_engine
from workflows.policies.plain import Names
from workflows.policies.rules import APPROVE, ASK, DENY, Ruling
from workflows.policies.trying import Past, retold

DEFAULT_LAST, MAX_LAST = 200, 1_000
_OUTCOMES = {
    Verdict.APPROVED: "Approved",
    Verdict.MODIFIED: "Approved with edits",
    Verdict.REJECTED: "Rejected",
}
_RULINGS = {APPROVE: "Approved by a rule", DENY: "Rejected by a rule", ASK: "People are asked"}


@dataclass(frozen=True)
class Change:
    """One request that would have gone another way: `before` and `after` in a few words each,
    `why` in sentences."""

    workflow: Workflow
    before: str
    after: str
    why: tuple[str, ...]


@dataclass(frozen=True)
class Trial:
    """What came of trying on `tried` requests. `counts` says how often what comes of it: before
    and after, by outcome in words."""

    tried: int
    changes: tuple[Change, ...]
    counts: tuple[tuple[str, int, int], ...]

    @property
    def sentence(self) -> str:
        """`3 of the last 200 requests would have gone another way.`"""
        if not self.tried:
            return "There are no requests yet that it could be tried on."
        way = "another way" if self.changes else "the same way"
        if self.tried == 1:
            return f"The last request would have gone {way}."
        if not self.changes:
            return f"The last {self.tried} requests would have gone {way}."
        return f"{len(self.changes)} of the last {self.tried} requests would have gone {way}."


# --- Policies ------------------------------------------------------------------------------------


def try_policy(
    team: Team,
    document: Mapping[str, Any],
    *,
    action_type: str = "",
    named: str = "",
    last: int = DEFAULT_LAST,
) -> Trial:
    """A policy in normal form on the newest requests, instead of what each of them had.

    `action_type` and `named` (the policy they had) choose among them.
    """
    workflows = _newest(team, last, action_type, named)
    _, persons = cases.people_of(team.pk, document)
    trier = _Trier(document, People.of(persons), cases.names_in(team.pk))
    acts = _acts(workflows)
    told = [trier.tell(workflow, acts[workflow.pk]) for workflow in workflows]
    return Trial(
        len(workflows),
        tuple(change for _, _, change in told if change),
        _counted([(before, after) for before, after, _ in told]),
    )


@dataclass(frozen=True)
class _Trier:
    document: Mapping[str, Any]
    people: People
    names: Names

    def tell(
        self, workflow: Workflow, found: tuple[list[Decision], list[Act]]
    ) -> tuple[str, str, Change | None]:
        """What the same answers come to under the request's own policy and under the new one."""
        decisions, acts = found
        past = Past(cases.request_of(workflow, decisions), tuple(acts), self.people)
        was, never = retold(workflow.policy, past)
        case, unheard = retold(self.document, past)
        # Whoever has left the team since, or was a guest, would have counted under neither.
        lost = [vote for vote in unheard if vote not in never]
        before, after = _outcome(was), _outcome(case)
        if was.outcome == case.outcome and not lost:
            return before, after, None
        why = [self._lost(case, vote) for vote in lost]
        if case.outcome is None:
            stage = f"Stage {case.stage.name!r}: " if case.stage else ""
            why.insert(0, f"{stage}{plain.waiting(case, self.names)}")
        return before, after, Change(workflow, before, after, tuple(filter(None, why)))

    def _lost(self, case: Case, vote: Vote) -> str:
        who = plain.who_answered(vote, self.names)
        return f"The answer of {who} would not have counted: they are not asked by it."


def _outcome(case: Case) -> str:
    return _OUTCOMES.get(case.outcome, "") if case.outcome else "Not decided by these answers"


def _newest(team: Team, last: int, action_type: str = "", named: str = "") -> list[Workflow]:
    """The newest requests, oldest of them first."""
    rows = Workflow.objects.filter(team=team).select_related("agent", "team")
    if action_type:
        rows = rows.filter(action_type=action_type)
    limit = min(last, MAX_LAST)
    if not named:
        return list(rows.order_by("-created_at", "-pk")[:limit])[::-1]
    # The policy's name stands inside frozen text: read on until there are enough of them.
    found = []
    for row in rows.order_by("-created_at", "-pk")[: 5 * MAX_LAST].iterator(chunk_size=200):
        if row.policy.get("name") == named:
            found.append(row)
            if len(found) == limit:
                break
    return found[::-1]


def _acts(workflows: Sequence[Workflow]) -> dict[UUID, tuple[list[Decision], list[Act]]]:
    """The answers of the newest asking of each request and what was taken back, in their order."""
    rounds = {workflow.pk: workflow.asked_round for workflow in workflows}
    decisions = Decision.objects.filter(workflow__in=rounds, user__isnull=False)
    withdrawn = Withdrawal.objects.filter(workflow__in=rounds).select_related("decision")
    found: dict[UUID, list[Decision]] = defaultdict(list)
    acts: dict[UUID, list[tuple[int, Any, Act]]] = defaultdict(list)
    for one in decisions.order_by("seq", "decided_at"):
        if one.round == rounds[one.workflow_id]:
            found[one.workflow_id].append(one)
            acts[one.workflow_id].append((one.seq, one.decided_at, _vote(one)))
    for each in withdrawn:
        was = each.decision
        if was.round == rounds[each.workflow_id]:
            taken = Retraction(str(was.user_id), was.stage, str(was.behalf_id or ""))
            acts[each.workflow_id].append((each.seq, each.withdrawn_at, taken))
    return {
        pk: (found[pk], [act for _, _, act in sorted(acts[pk], key=lambda row: row[:2])])
        for pk in rounds
    }


def _vote(row: Decision) -> Vote:
    return Vote(
        str(row.user_id),
        row.stage,
        row.verdict,
        frozenset(row.counts_for),
        row.fingerprint,
        row.result_fingerprint,
        str(row.behalf_id or ""),
    )


# --- Rules ---------------------------------------------------------------------------------------


def try_rules(
    team: Team,
    old: Sequence[dict[str, Any]],
    new: Sequence[dict[str, Any]],
    *,
    last: int = DEFAULT_LAST,
) -> Trial:
    """Two sets of rules in normal form on the newest requests, each at the time it came in."""
    workflows = _newest(team, last)
    requests = [cases.request_of(workflow) for workflow in workflows]
    run = rule_engine.dry_run(rule_engine.read(old), rule_engine.read(new), requests)
    changes = tuple(
        Change(
            workflows[found.number], _ruled(found.before), _ruled(found.after), (found.after.why,)
        )
        for found in run.differences
    )
    outcomes = (DENY, APPROVE, ASK)
    counts = tuple(
        (_RULINGS[outcome], run.before.get(outcome, 0), run.after.get(outcome, 0))
        for outcome in outcomes
        if run.before.get(outcome) or run.after.get(outcome)
    )
    return Trial(len(workflows), changes, counts)


def _ruled(ruling: Ruling) -> str:
    if ruling.outcome == ASK and ruling.policy:
        return f"People are asked, by {ruling.policy}"
    return _RULINGS[ruling.outcome]


def _counted(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, int, int], ...]:
    before: dict[str, int] = defaultdict(int)
    after: dict[str, int] = defaultdict(int)
    for old, new in pairs:
        before[old] += 1
        after[new] += 1
    return tuple((name, before[name], after[name]) for name in sorted({*before, *after}))
