"""Seal every stored secret with the first of ENCRYPTION_KEYS, so that older keys can go."""

from typing import Any

from django.core.management import CommandError
from django.db import transaction

from events.models import WebhookSecret
from hitl.accounts import factors
from hitl.lib.sealing import Unreadable, reseal, reveal
from hitl.management.base import HitlCommand
from workflows.models import ActionType


class Command(HitlCommand):
    """`manage.py rotate_keys`; changes nothing where a single secret cannot be opened."""

    help = "Seal stored secrets anew with the first of ENCRYPTION_KEYS."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            count = _rotate()
        except Unreadable as error:
            raise CommandError(
                f"{error}. Nothing was changed: put the key back into ENCRYPTION_KEYS."
            ) from None
        self.say(f"Sealed with the first key: {count} secrets. The keys after it may go.")


@transaction.atomic
def _rotate() -> int:
    rows = list(WebhookSecret.objects.select_for_update())
    for row in rows:
        row.sealed = reseal(row.sealed)
    WebhookSecret.objects.bulk_update(rows, ["sealed"])
    return len(rows) + factors.reseal_all() + _reseal_actions()


def _reseal_actions() -> int:
    """Secrets of action types; those from before they were sealed are sealed now."""
    kinds = list(ActionType.objects.select_for_update().filter(executor_config__has_key="secret"))
    for kind in kinds:
        kind.executor_config["secret"] = reveal(str(kind.executor_config["secret"]))
        kind.save(update_fields=["executor_config"])
    return len(kinds)
