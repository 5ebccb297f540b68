"""The table of ways to carry out an approved action. The agent's own way needs no code here."""

from workflows.actions.base import Action
from workflows.actions.email import EmailAction
from workflows.actions.function import FunctionAction
from workflows.actions.http import HttpAction

ACTIONS: dict[str, type[Action]] = {
    action.name: action for action in (HttpAction, EmailAction, FunctionAction)
}


def get_action(name: str) -> Action:
    """The way of that name. Raises KeyError for an unknown one."""
    return ACTIONS[name]()
