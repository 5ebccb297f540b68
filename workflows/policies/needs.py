"""Reading the needs of a policy: who has to answer and how many, as a bounded tree."""

from typing import Any

from hitl.lib import pointer
from workflows.policies import expressions
from workflows.policies.checks import Checks
from workflows.policies.expressions import ExpressionError

MAX_PARTS, MAX_DEPTH, MAX_LEAVES = 10, 4, 30
MAX_USERS, MAX_ROLES, MAX_COUNT = 100, 10, 100
WHO_FORMS = ("team", "users", "roles", "group", "agentOwner", "expression")


def read_need(value: Any, place: str, checks: Checks, depth: int = 1) -> dict[str, Any]:
    """The normal form of a need; faults are noted in `checks`."""
    need = checks.object(value, place, ("who", "count", "allOf", "anyOf"))
    forms = [word for word in ("who", "allOf", "anyOf") if word in need]
    if len(forms) != 1 or ("count" in need and forms != ["who"]):
        checks.fault(place, "Write who and count, or allOf, or anyOf.")
        return {}
    if forms == ["who"]:
        who = read_who(need["who"], pointer.join(place, "who"), checks)
        return {"who": who, "count": read_count(need, place, who, checks)}
    word = forms[0]
    here = pointer.join(place, word)
    parts = checks.list(need[word], here, MAX_PARTS)
    if depth > MAX_DEPTH:
        checks.fault(here, f"Needs can be nested {MAX_DEPTH} levels deep.")
        return {}
    if not parts:
        checks.fault(here, "Write at least one need.")
    return {
        word: [read_need(p, pointer.join(here, n), checks, depth + 1) for n, p in enumerate(parts)]
    }


def read_count(need: dict[str, Any], place: str, who: dict[str, Any], checks: Checks) -> Any:
    """How many of them: a number that can be reached, or "all"."""
    count = need.get("count", 1)
    if count == "all":
        return count
    here = pointer.join(place, "count")
    if isinstance(count, str):
        checks.fault(here, f'Write a whole number from 1 to {MAX_COUNT}, or "all".')
        return 1
    number = checks.number(count, here, 1, MAX_COUNT)
    most = len(who["users"]) if "users" in who else 1 if "agentOwner" in who else MAX_COUNT
    if number > most:
        checks.fault(here, f"Only {most} can answer here, so {number} can never be reached.")
    return number


def read_who(value: Any, place: str, checks: Checks) -> dict[str, Any]:
    """The normal form of who is meant."""
    who = checks.object(value, place, (*WHO_FORMS, "label"))
    forms = [form for form in WHO_FORMS if form in who]
    if len(forms) != 1:
        checks.fault(place, f"Write one of {', '.join(WHO_FORMS)}.")
        return {}
    form = forms[0]
    normal = {form: _meant(form, who[form], pointer.join(place, form), checks)}
    if "label" in who:
        normal["label"] = checks.text(who["label"], pointer.join(place, "label"), 80)
    return normal


def _meant(form: str, value: Any, place: str, checks: Checks) -> Any:
    match form:
        case "team":
            return checks.choice(value, place, ("approvers",))
        case "agentOwner":
            if value is not True:
                checks.fault(place, "Write true.")
            return True
        case "group":
            return checks.text(str(value) if _is_number(value) else value, place, 64)
        case "expression":
            return _condition(value, place, checks)
    names = checks.choices(value, place, None, MAX_USERS if form == "users" else MAX_ROLES)
    if not names:
        checks.fault(place, "Name at least one.")
    return [str(name) for name in names]


def _condition(value: Any, place: str, checks: Checks) -> str:
    try:
        return expressions.compile_expression(value, expressions.PERSON).text
    except ExpressionError as error:
        checks.fault(place, str(error), "expression")
        return ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def leaves(need: dict[str, Any]) -> list[dict[str, Any]]:
    """The leaves of a need in normal form."""
    parts = need.get("allOf") or need.get("anyOf") or ()
    return [need] if "who" in need else [leaf for part in parts for leaf in leaves(part)]
