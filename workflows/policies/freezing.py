"""What is settled when a policy is put on a request: whom "all" means."""

from typing import Any

from workflows.policies.evaluate import Case
from workflows.policies.people import People
from workflows.policies.replay import State
from workflows.policies.request import Request
from workflows.policies.rights import Rights
from workflows.policies.shape import Leaf


def freeze(policy: dict[str, Any], request: Request, people: People) -> dict[str, Any]:
    """The policy with every "all" written out as the people it means now.

    Otherwise a stage that all have agreed to would open again when somebody joins, and would close
    by itself when somebody who hesitates is removed. Who is meant and has no right to decide, or
    not here, is left out. Where nobody is left, one is wanted still, whom somebody has to become.
    """
    case = Case.of(policy, request, people=people)
    rights = Rights(case.policy, request, people, frozenset(), State(request.fingerprint))
    return policy | {"stages": [_stage(stage, rights) for stage in policy["stages"]]}


def _stage(stage: dict[str, Any], rights: Rights) -> dict[str, Any]:
    frozen = stage | {"need": _need(stage["need"], rights)}
    if "escalation" in stage:
        frozen["escalation"] = [
            step | _written_out(step, "to", rights) for step in stage["escalation"]
        ]
    return frozen


def _need(need: dict[str, Any], rights: Rights) -> dict[str, Any]:
    for word in ("allOf", "anyOf"):
        if word in need:
            return {word: [_need(part, rights) for part in need[word]]}
    return need | _written_out(need, "who", rights)


def _written_out(need: dict[str, Any], key: str, rights: Rights) -> dict[str, Any]:
    """What changes about one place: nothing unless it wants all."""
    if need.get("count") != "all":
        return {}
    who = need[key]
    ids = sorted(rights.everyone(Leaf("", who, None)))
    if not ids:
        return {"count": 1}
    label = {"label": who["label"]} if "label" in who else {}
    return {key: {"users": ids} | label, "count": len(ids)}
