"""What the buttons of a form do to its draft: parts come, go and change places."""

from typing import TypeVar

from dashboard.drafts.nodes import Node
from dashboard.drafts.people import Block, Need, Place
from dashboard.drafts.policy import PolicyDraft, Reminder, Stage, Step
from dashboard.drafts.posts import MAX_PARTS
from dashboard.drafts.rules import RuleDraft, RulesDraft

NodeT = TypeVar("NodeT", bound=Node)


def press(draft: PolicyDraft | RulesDraft, button: str) -> bool:
    """Do what a button says (`add-step:stages.0`); False where it is none of these buttons."""
    action, _, prefix = button.partition(":")
    if action == "remove":
        _remove(draft, prefix)
    elif action in ("up", "down"):
        _move(draft, prefix, -1 if action == "up" else 1)
    elif action.startswith("add-"):
        target = draft.found(prefix) if prefix else draft
        made = _add(target, action.removeprefix("add-")) if target else None
        if made is not None:
            made.has_focus = True
    else:
        return False
    for node in list(draft.walk()):
        if isinstance(node, Need):
            node.blocks = [block for block in node.blocks if block.places] or Need.read({}).blocks
    draft.number()
    return True


def _add(target: Node, what: str) -> Node | None:
    """Put a new part at the end of one of the target's lists; where the cursor goes then."""
    match what, target:
        case "stage", PolicyDraft(stages=stages):
            return _append(stages, Stage())
        case "rule", RulesDraft(rules=rules):
            return _append(rules, RuleDraft())
        case "people", Need(blocks=blocks):
            place = Place()
            return place.who if _append(blocks, Block(places=[place])) else None
        case "or", Block(places=places):
            return _append(places, Place())
        case "reminder", Stage(reminders=reminders):
            return _append(reminders, Reminder())
        case "step", Stage(steps=steps):
            return _append(steps, Step())
    return None


def _append(parts: list[NodeT], made: NodeT) -> NodeT | None:
    """What was made, or None where there is no room for it."""
    if len(parts) >= MAX_PARTS:
        return None
    parts.append(made)
    return made


def _remove(draft: Node, prefix: str) -> None:
    for parts in draft.lists():
        parts[:] = [part for part in parts if part.prefix != prefix]


def _move(draft: Node, prefix: str, by: int) -> None:
    for parts in draft.lists():
        at = next((n for n, part in enumerate(parts) if part.prefix == prefix), None)
        if at is not None and 0 <= at + by < len(parts):
            parts[at], parts[at + by] = parts[at + by], parts[at]
            return
