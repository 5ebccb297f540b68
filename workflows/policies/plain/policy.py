"""A policy in plain English: one sentence for a title, several for a page."""

from collections.abc import Mapping
from typing import Any

from workflows.policies import shape
from workflows.policies.plain import words
from workflows.policies.plain.words import Names, duration, listed, number, sentence
from workflows.policies.shape import (
    APPROVE,
    ESCALATE,
    HOLD,
    IMPOSSIBLE,
    REPLACE,
    Leaf,
    Need,
    Policy,
    Stage,
    Step,
    Who,
)

_NOBODY = Names()
_SILENCE = {
    APPROVE: "the request is approved if its risk is low, and rejected otherwise",
    HOLD: "the request waits until somebody decides",
    ESCALATE: "the next step of the escalation is taken, and without one the request is rejected",
}


def summary(policy: Mapping[str, Any], names: Names = _NOBODY) -> str:
    """`Two of Finance, then Cat if amount is more than 10,000.`"""
    stages = [_asked(stage, names) for stage in shape.read(policy).stages]
    return sentence(", then ".join(stages))


def explain(policy: Mapping[str, Any], names: Names = _NOBODY) -> list[str]:
    """Every rule of the policy, a sentence each, in the order in which things happen."""
    read = shape.read(policy)
    said = [summary(policy, names)]
    for stage in read.stages:
        place = "" if len(read.stages) == 1 else f"{stage.name}: "
        said += [f"{place}{sentence(text)}" for text in _stage(stage, names)]
    return said + [sentence(text) for text in _whole(read)]


def need(wanted: Need, names: Names = _NOBODY) -> str:
    """`two of Finance and one of Legal`."""
    if isinstance(wanted, Leaf):
        return place(wanted, names)
    parts = [need(part, names) for part in wanted.parts]
    inner = any(not isinstance(part, Leaf) for part in wanted.parts)
    joined = ("; " if inner else ", ").join(parts[:-1])
    word = "and" if wanted.every else "or"
    return f"{joined}{';' if inner else ''} {word} {parts[-1]}" if joined else parts[-1]


def place(leaf: Leaf, names: Names = _NOBODY) -> str:
    """How many of whom: `two of Finance`, `Ann or Bob`, `all managers`."""
    who, count = leaf.who, leaf.count
    if "label" not in who and "users" in who:
        return _named([names.person(user) for user in who["users"]], count)
    if "label" not in who and "agentOwner" in who:
        return "the agent’s owner"
    if count is None:
        return f"all of {meant(who, names)}"
    if "label" not in who and "team" in who and count == 1:
        return "any approver"
    return f"{number(count)} of {meant(who, names)}"


def meant(who: Who, names: Names = _NOBODY) -> str:
    """`Finance`, `the managers`, `the approvers`, `Ann and Bob`."""
    if "label" in who:
        return str(who["label"])
    if "users" in who:
        return listed([names.person(user) for user in who["users"]])
    if "group" in who:
        return names.group(str(who["group"]))
    if "roles" in who:
        return f"the {listed([f'{role}s' for role in who['roles']], 'and')}"
    if "agentOwner" in who:
        return "the agent’s owner"
    if "expression" in who:
        return f"those for whom “{' '.join(who['expression'].split())}” holds"
    return "the approvers"


def step(taken: Step, stage: Stage, names: Names = _NOBODY) -> str:
    """`after 4 hours Dora may answer, too; that is enough`."""
    said = f"after {duration(taken.after)} {asked_then(taken, stage, names)}"
    if taken.repeat:
        times = {1: "once", 2: "twice"}.get(taken.repeat, f"{number(taken.repeat)} times")
        said += f". They are told again {times}, {duration(taken.every)} apart"
    return said


def asked_then(taken: Step, stage: Stage, names: Names = _NOBODY) -> str:
    """`only the managers may answer from then on; one of them is enough`."""
    people = meant(taken.leaf.who, names)
    enough = _enough(taken.leaf) if stage.min_people == 1 else ""
    if taken.mode == REPLACE:
        return f"only {people} may answer from then on{enough}"
    return f"{people} may answer, too{enough}"


def _enough(leaf: Leaf) -> str:
    if len(leaf.who.get("users", ())) == 1 or "agentOwner" in leaf.who:
        return "; that is enough"
    if leaf.count is None:
        return "; all of them have to"
    return f"; {number(leaf.count)} of them {'is' if leaf.count == 1 else 'are'} enough"


def _named(people: list[str], count: int | None) -> str:
    if len(people) == 1:
        return people[0]
    if count is None or count == len(people):
        return f"{'both ' if len(people) == 2 else 'all of '}{listed(people)}"
    if count == 1:
        return listed(people, "or")
    return f"{number(count)} of {listed(people)}"


def _asked(stage: Stage, names: Names) -> str:
    said = need(stage.need, names)
    return f"{said} if {words.condition(stage.when)}" if stage.when else said


def _stage(stage: Stage, names: Names) -> list[str]:
    said = []
    if stage.min_people > 1:
        said.append(f"at least {number(stage.min_people)} different people have to answer")
    if stage.on_reject == IMPOSSIBLE:
        said.append("a rejection counts once the others cannot make up the number any more")
    else:
        said.append("one rejection rejects the request")
    if not stage.allow_edit:
        said.append("the data cannot be edited here")
    if stage.step_up:
        risks = [risk for risk in ("low", "medium", "high") if risk in stage.step_up]
        said.append(f"at {listed(risks, 'or')} risk a second factor is asked for")
    if stage.channels:
        said.append(f"people are asked over {listed(stage.channels)}")
    return said + _times(stage, names)


def _times(stage: Stage, names: Names) -> list[str]:
    said = []
    for reminder in stage.reminders:
        when = "before the deadline" if reminder.before_deadline else "after being asked"
        said.append(f"people are reminded {duration(reminder.seconds)} {when}")
    said += [step(taken, stage, names) for taken in stage.escalation]
    if stage.timeout_action in _SILENCE:
        said.append(f"if nobody decides in time, {_SILENCE[stage.timeout_action]}")
    elif stage.timeout_action:
        said.append("if nobody decides in time, the request times out, which rejects it")
    if stage.extend_max:
        said.append(f"the deadline can be moved by {duration(stage.extend_max)} in all")
    return said


def _whole(policy: Policy) -> list[str]:
    said = []
    if policy.timeout_seconds:
        said.append(f"the request has to be decided within {duration(policy.timeout_seconds)}")
    if policy.calendar:
        said.append("reminders wait for quiet and free hours to end; deadlines do not")
    if policy.different_people:
        said.append("nobody answers in two stages")
    if policy.allow_twice:
        said.append("who stands in for somebody may also answer in their own name")
    own = {"the agent’s owner": policy.allow_owner, "the requester": policy.allow_requester}
    said += [f"{who} may decide, too" for who, allowed in own.items() if allowed]
    barred = [who for who, allowed in own.items() if not allowed]
    return [*said, f"{listed(barred)} may not decide"] if barred else said
