"""App configuration; loads the operator's own actions."""

from importlib import import_module
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from hitl.lib import signing_keys


class WorkflowsConfig(AppConfig):
    name = "workflows"
    verbose_name = "Approvals"

    def ready(self) -> None:
        for module in settings.ACTION_MODULES:
            import_module(module)
        register(there_is_a_signing_key)


def there_is_a_signing_key(**_: Any) -> list[CheckMessage]:
    """Nothing goes without signature because nobody has thought of a key."""
    problem = signing_keys.check()
    hint = "Put the line into .env that manage.py signing_key prints."
    return [Error(problem, hint=hint, id="workflows.E001")] if problem else []
