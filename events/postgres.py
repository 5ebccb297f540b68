"""The PostgreSQL triggers that keep the log append-only, as SQL for the migration and its test."""

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
PROTECTED = ("events_event", "workflows_decision", "workflows_withdrawal")
