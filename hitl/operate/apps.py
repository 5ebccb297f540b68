"""App configuration; listens to what beat and the workers do."""

from importlib import import_module

from django.apps import AppConfig


class OperateConfig(AppConfig):
    name = "hitl.operate"
    label = "operate"
    verbose_name = "Operation"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        import_module("hitl.operate.signals")
