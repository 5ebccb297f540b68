"""Finds out that the database was restored, and keeps the books of it.

A database that has moved to another place (another cluster, database, table or timeline), a copy
that `manage.py backup` has marked, or a file of checkpoints that remembers more than the database.
What none of them shows (yesterday's files under the same server) an operator has to tell.
"""

import datetime as dt
import json
import logging
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import Max

from events.models import Event
from events.postgres import current_identity
from events.proof import anchors
from events.restores.models import DatabaseHome, Restore
from hitl.lib.db import database_now

logger = logging.getLogger(__name__)

BACKUP = "backup"  # the identity of copies that were made by `manage.py backup`


@transaction.atomic
def notice() -> Restore | None:
    """The open restore, begun now where the database is found in another place than before."""
    here = current_identity()
    home, _ = DatabaseHome.objects.select_for_update().get_or_create(defaults={"identity": here})
    if home.identity != here:
        if not _is_trusted(home.identity, here):
            begin(_why(home.identity), evidence=f"{home.identity} > {here}")
        home.identity = here
        home.save(update_fields=["identity"])
    return Restore.objects.filter(is_open=True).first()


def look() -> Restore | None:
    """What a role does before it works: `notice`, and compare with the checkpoints kept outside."""
    restore = notice()
    unknown = _unknown_checkpoint()
    if unknown is not None:
        evidence = f"checkpoint {unknown.number} {unknown.hash}"
        restore = begin("Checkpoints kept outside know more than the database.", evidence=evidence)
    if restore is not None:
        logger.warning(
            "restored database: nothing is sent or carried out, see manage.py reconcile",
            extra={"why": restore.why},
        )
    return restore


def look_at_start() -> Restore | None:
    """`look`, for a role that starts whether or not the database answers.

    Where it does not, nothing leaves either: the gate asks before that.
    """
    try:
        return look()
    except DatabaseError as error:
        logger.warning("the database does not answer yet: %s", str(error).partition("\n")[0])
        return None
    finally:
        connection.close()  # what follows may fork, or never come back to this thread


def _unknown_checkpoint() -> anchors.Anchor | None:
    """The newest checkpoint outside where the database has it not, and no known restore is why."""
    if not settings.CHECKPOINT_FILE:
        return None
    last = anchors.unknown(Path(settings.CHECKPOINT_FILE))
    explained = last and Restore.objects.filter(created_at__gte=_made_at(last)).exists()
    return None if explained else last


def _made_at(anchor: anchors.Anchor) -> dt.datetime:
    """When it was made, as its body says; a body that cannot be read is older than everything."""
    try:
        return dt.datetime.fromisoformat(json.loads(anchor.body)["madeAt"])
    except (ValueError, KeyError, TypeError):
        return dt.datetime.min.replace(tzinfo=dt.UTC)


@transaction.atomic
def begin(why: str, *, evidence: str = "") -> Restore:
    """From now on everything waits for people; harmless where it does already."""
    DatabaseHome.objects.select_for_update().get_or_create(
        defaults={"identity": current_identity()}
    )
    found = Restore.objects.filter(is_open=True).first()
    if found is not None:
        return found
    newest = Event.objects.aggregate(newest=Max("pk"))["newest"] or 0
    restore = Restore(why=why, evidence=evidence[:500], newest_event=newest)
    restore.created_at = database_now()
    restore.save(force_insert=True)
    logger.warning("restore begun", extra={"why": why, "evidence": evidence})
    return restore


def mark(identity: str) -> str:
    """The identity to write into a copy of a database, so that it notices what it is."""
    return f"{BACKUP} of {identity} at {database_now():%Y-%m-%d %H:%M:%S} UTC"


def _why(before: str) -> str:
    if before.startswith(BACKUP):
        return f"The database is a copy: {before}."
    return "The database stands in another place than before: it was restored, moved or promoted."


def _is_trusted(before: str, here: str) -> bool:
    """Whether only a standby was promoted, and the operator has said that those lose nothing."""
    same_place = before.rpartition("/")[0] == here.rpartition("/")[0] != ""
    return settings.TRUST_FAILOVER and same_place
