"""Carries out by calling a Python function that the operator registered."""

from collections.abc import Callable
from typing import Any

from hitl.lib.errors import FieldError, InvalidInput
from workflows.actions.base import Action, ActionFailed, Job

Function = Callable[[Job], Any]
_registry: dict[str, Function] = {}


def register(name: str) -> Callable[[Function], Function]:
    """Decorator: make a function available to action types as `{"function": name}`.

    The function gets the `Job` and returns a JSON value. It raises `ActionFailed` for failures it
    understands; anything else counts as "may have happened".
    """

    def remember(function: Function) -> Function:
        _registry[name] = function
        return function

    return remember


class FunctionAction(Action):
    """`config`: `{"function": "name it was registered under"}`."""

    name = "function"

    def check_config(self, config: dict[str, Any]) -> None:
        if config.get("function") not in _registry:
            known = ", ".join(sorted(_registry)) or "none yet"
            message = f"Name a registered function in executorConfig.function; known: {known}."
            raise InvalidInput(message, [FieldError("/executorConfig/function", message)])

    def run(self, job: Job) -> Any:
        function = _registry.get(str(job.config.get("function")))
        if function is None:
            raise ActionFailed(
                "The registered function is not there any more; add its module to ACTION_MODULES.",
                permanent=True,
                may_have_happened=False,
            )
        try:
            return function(job)
        except ActionFailed:
            raise
        except Exception as error:
            raise ActionFailed(f"{type(error).__name__}: {error}") from error
