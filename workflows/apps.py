"""App configuration; loads the operator's own actions."""

from importlib import import_module

from django.apps import AppConfig
from django.conf import settings


class WorkflowsConfig(AppConfig):
    name = "workflows"
    verbose_name = "Approvals"

    def ready(self) -> None:
        for module in settings.ACTION_MODULES:
            import_module(module)
