"""App configuration."""

from importlib import import_module
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, register
from django.db import connection
from django.db.models.signals import post_migrate


class EventsConfig(AppConfig):
    name = "events"
    verbose_name = "Log"

    def ready(self) -> None:
        # A web process wakes workers too, so it has to know the tasks by name.
        import_module("events.tasks")
        register(environment_is_clear)
        post_migrate.connect(_sync, sender=self)


def environment_is_clear(**_: Any) -> list[CheckMessage]:
    """LLM_BACKEND_HOST and its secret can be used."""
    problem = import_module("events.webhooks.environment").check()
    hint = "Write it like https://agents.example.com/hooks/hitl, or empty it."
    return [Error(problem, hint=hint, id="events.E001")] if problem else []


def _sync(**_: Any) -> None:
    """A fresh installation has the environment's endpoint before its first event; in a restored
    one the feed goes on where it was, and nothing leaves until people have looked."""
    import_module("events.webhooks.environment").sync()
    moved = import_module("events.feed").mend_epoch()
    if "events_restore" not in connection.introspection.table_names():
        return  # on the way back to an older release
    noticing = import_module("events.restores.noticing")
    if moved:
        noticing.begin("The events come from another cluster: the database was restored or moved.")
    noticing.look()
