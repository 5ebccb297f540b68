"""Whether the log is being sealed: new events get under a checkpoint, and checkpoints get out."""

import datetime as dt
from pathlib import Path

from django.conf import settings

from events import feed
from events.proof import anchors, checkpoints
from hitl.doctor.findings import FAIL, OK, WARN, Finding
from hitl.lib.db import database_now

TOPIC = "proof"
# Checkpoints are made every two minutes, and promised for every five.
PATIENCE = dt.timedelta(minutes=10)


def look() -> list[Finding]:
    """The signing key, the newest checkpoint and the file of those kept elsewhere."""
    if not settings.SIGNING_KEYS:
        why = "Neither checkpoints nor receipts are made."
        remedy = "Put what manage.py signing_key prints into SIGNING_KEYS."
        return [Finding(TOPIC, FAIL, "SIGNING_KEYS is empty.", why, remedy)]
    return [*_uncovered(), *_file()]


def _uncovered() -> list[Finding]:
    newest = checkpoints.newest()
    reached = checkpoints.read_totals(newest).position if newest else str(feed.START)
    after = feed.Position.parse(reached)
    since = database_now() - PATIENCE
    if feed.behind(after).filter(timestamp__lt=since).exists():
        says = "Events of more than ten minutes ago are under no checkpoint."
        why = "Until they are, whoever owns the database can rewrite them without a trace."
        remedy = "See that worker and beat run, and look for sweep_checkpoints in their logs."
        return [Finding(TOPIC, FAIL, says, why, remedy)]
    if newest is None:
        return [Finding(TOPIC, OK, "Nothing has happened that a checkpoint could seal.")]
    return [Finding(TOPIC, OK, f"Checkpoint {newest.number} seals the log.")]


def _file() -> list[Finding]:
    if not settings.CHECKPOINT_FILE:
        why = "Whoever owns the database and the key can then rewrite both."
        remedy = "Keep the log's lines elsewhere, or set CHECKPOINT_FILE to a disk of its own."
        return [Finding(TOPIC, WARN, "Checkpoints are kept in no file.", why, remedy)]
    path = Path(settings.CHECKPOINT_FILE)
    problem = anchors.problem(path) if path.exists() else ""
    if problem:
        why = "New checkpoints are not kept outside the database."
        remedy = "docs/proof.md says what to do after a restored backup, and otherwise."
        return [Finding(TOPIC, FAIL, problem, why, remedy)]
    return []
