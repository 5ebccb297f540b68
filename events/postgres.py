"""What the log asks of PostgreSQL beyond tables: triggers that keep it append-only, and functions
that number its transactions. As SQL for the migrations and their tests."""

from typing import Any

from django.db import connection
from django.db.models import BigIntegerField, Func

REFUSE_CHANGE = """
CREATE OR REPLACE FUNCTION hitl_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % refused: its rows are never changed or removed', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$
"""

APPEND_ONLY = """
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION hitl_refuse_change()
"""

NO_TRUNCATE = """
CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION hitl_refuse_change()
"""

# Every table that refuses changes; migrations of the owning apps set the triggers.
PROTECTED = (
    "events_event",
    "events_checkpoint",
    "events_checkpointhead",
    "workflows_decision",
    "workflows_withdrawal",
)

# The number of the running transaction, the oldest one still open, the next one to begin. Numbers
# go on where a restored database left off: `events.feed.mend_epoch`.
FEED_FUNCTIONS = {
    "hitl_feed_now": ("VOLATILE", "pg_current_xact_id()::text::bigint"),
    "hitl_feed_horizon": (
        "STABLE",
        # Numbers are the whole cluster's. Whoever is known to work in another database writes none
        # of our events, however long it takes. A snapshot does not list its own transaction, whose
        # events are not settled either. A standby lists nobody: there the oldest counts.
        """CASE WHEN pg_is_in_recovery()
        THEN pg_snapshot_xmin(pg_current_snapshot())::text::bigint
        ELSE LEAST(pg_current_xact_id_if_assigned()::text::bigint, COALESCE(
            (SELECT min(open::text::bigint) FROM pg_snapshot_xip(pg_current_snapshot()) AS open
             WHERE NOT EXISTS (
                SELECT 1 FROM pg_stat_activity AS a JOIN pg_database AS d ON d.oid = a.datid
                WHERE a.backend_xid = open::xid AND d.datname <> current_database())),
            pg_snapshot_xmax(pg_current_snapshot())::text::bigint))
        END""",
    ),
    "hitl_feed_next": ("STABLE", "pg_snapshot_xmax(pg_current_snapshot())::text::bigint"),
}
FEED_FUNCTION = """
CREATE OR REPLACE FUNCTION {name}() RETURNS bigint LANGUAGE sql {volatility} AS $$
    SELECT {number} + COALESCE((SELECT shift FROM events_feedepoch), 0)
$$
"""


def feed_function(name: str) -> str:
    """The SQL that makes one of the three."""
    volatility, number = FEED_FUNCTIONS[name]
    return FEED_FUNCTION.format(name=name, number=number, volatility=volatility)


class FeedNow(Func):
    """The number of the running transaction; 0 where one transaction writes at a time."""

    function = "hitl_feed_now"
    arity = 0
    output_field = BigIntegerField()

    def as_sqlite(self, *_: Any, **__: Any) -> tuple[str, tuple[str | int, ...]]:
        return "0", ()


# Which database this is: cluster, database, table, timeline. A dump that is read in makes new
# tables; a cluster that was restored or promoted writes another timeline. Not every provider lets
# us see the first and the last.
IDENTITY_FUNCTION = """
CREATE OR REPLACE FUNCTION hitl_identity() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    place text := to_regclass('events_databasehome')::oid::text;
    cluster text := '?';
    timeline text := '?';
BEGIN
    SELECT oid::text || '/' || place INTO place FROM pg_database WHERE datname = current_database();
    BEGIN
        SELECT system_identifier::text INTO cluster FROM pg_control_system();
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
    BEGIN
        timeline := substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8);
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
    RETURN cluster || '/' || place || '/' || timeline;
END $$
"""


# On SQLite it is always the same one: copies are marked when they are made.
EMBEDDED = "embedded"

# Whether the database is where it was, and nothing is being worked off: asked often, in one go.
ALL_IS_WELL = """
SELECT identity = {identity} AND NOT EXISTS (SELECT 1 FROM events_restore WHERE is_open)
FROM events_databasehome
"""


def all_is_well() -> bool:
    """Whether no restored database is in sight; False also before anybody has ever looked."""
    here = "hitl_identity()" if connection.vendor == "postgresql" else f"'{EMBEDDED}'"
    with connection.cursor() as cursor:
        cursor.execute(ALL_IS_WELL.format(identity=here))
        found = cursor.fetchone()
    return bool(found and found[0])


def current_identity() -> str:
    """The same, asked at once."""
    if connection.vendor != "postgresql":
        return EMBEDDED
    with connection.cursor() as cursor:
        cursor.execute("SELECT hitl_identity()")
        return str(cursor.fetchone()[0])
