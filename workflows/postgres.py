"""The PostgreSQL trigger that refuses a status written any other way than by a transition.

It knows the same tables of moves as `transitions.ALLOWED` and `ROLLBACKS` (a test compares them),
wants the event to be there first, and for an approval the decision that justifies it.
"""

GUARD_STATUS = """
CREATE OR REPLACE FUNCTION hitl_guard_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status <> 'PENDING' THEN
            RAISE EXCEPTION 'a workflow starts as PENDING, not %', NEW.status
                USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.status IS NOT DISTINCT FROM OLD.status THEN
        RETURN NEW;
    END IF;
    IF NOT (OLD.status || '>' || NEW.status = ANY (ARRAY[{moves}])) THEN
        RAISE EXCEPTION 'a workflow cannot go from % to %', OLD.status, NEW.status
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.event_seq <= OLD.event_seq OR NOT EXISTS (
        SELECT 1 FROM events_event e WHERE e.workflow_id = NEW.id
        AND e.seq = NEW.event_seq AND e.status = NEW.status AND e.round = NEW.round
    ) THEN
        RAISE EXCEPTION 'status % was written without its event', NEW.status
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF OLD.status = 'PENDING' AND NEW.status IN ('APPROVED', 'REJECTED') AND NOT EXISTS (
        SELECT 1 FROM workflows_decision d WHERE d.workflow_id = NEW.id
        AND d.round = NEW.round AND d.is_effective
        AND (d.verdict = 'rejected') = (NEW.status = 'REJECTED')
    ) THEN
        RAISE EXCEPTION 'status % was written without a decision', NEW.status
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$
"""

GUARD_TRIGGER = """
CREATE TRIGGER workflow_guard_status BEFORE INSERT OR UPDATE ON workflows_workflow
    FOR EACH ROW EXECUTE FUNCTION hitl_guard_status()
"""

# Knows rollbacks too: a round is opened by nothing else, and each together with its event.
GUARD_STATUS_2 = """
CREATE OR REPLACE FUNCTION hitl_guard_status() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    move text;
    is_rollback boolean;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status <> 'PENDING' THEN
            RAISE EXCEPTION 'a workflow starts as PENDING, not %', NEW.status
                USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.status IS NOT DISTINCT FROM OLD.status THEN
        IF NEW.round <> OLD.round OR NEW.asked_round <> OLD.asked_round THEN
            RAISE EXCEPTION 'only a rollback opens a round'
                USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN NEW;
    END IF;
    move := OLD.status || '>' || NEW.status;
    is_rollback := move = ANY (ARRAY[{rollbacks}]) AND NEW.round = OLD.round + 1
        AND NEW.asked_round
            = CASE NEW.status WHEN 'PENDING' THEN NEW.round ELSE OLD.asked_round END;
    IF NOT is_rollback AND NOT (
        move = ANY (ARRAY[{moves}]) AND NEW.round = OLD.round AND NEW.asked_round = OLD.asked_round
    ) THEN
        RAISE EXCEPTION 'a workflow cannot go from % to %', OLD.status, NEW.status
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.event_seq <= OLD.event_seq OR NOT EXISTS (
        SELECT 1 FROM events_event e WHERE e.workflow_id = NEW.id
        AND e.seq = NEW.event_seq AND e.status = NEW.status AND e.round = NEW.round
        AND (e.type = 'workflow.rolled_back') = is_rollback
    ) THEN
        RAISE EXCEPTION 'status % was written without its event', NEW.status
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.status IN ('APPROVED', 'REJECTED') AND NOT EXISTS (
        SELECT 1 FROM workflows_decision d WHERE d.workflow_id = NEW.id
        AND d.round = NEW.asked_round AND d.is_effective
        AND (d.verdict = 'rejected') = (NEW.status = 'REJECTED')
    ) THEN
        RAISE EXCEPTION 'status % was written without a decision', NEW.status
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$
"""

# The moves as they stood when this version of the trigger was written.
MOVES_1 = (
    "PENDING>APPROVED",
    "PENDING>REJECTED",
    "PENDING>TIMEOUT",
    "PENDING>CANCELLED",
    "APPROVED>EXECUTING",
    "EXECUTING>COMPLETED",
    "EXECUTING>FAILED",
    "EXECUTING>UNKNOWN",
    "UNKNOWN>COMPLETED",
    "UNKNOWN>FAILED",
)

MOVES_2 = MOVES_1
ROLLBACKS_2 = (
    "APPROVED>PENDING",
    "REJECTED>PENDING",
    "TIMEOUT>PENDING",
    "FAILED>PENDING",
    "FAILED>APPROVED",
)


def guard(moves: tuple[str, ...]) -> str:
    """The first trigger function for a set of moves, each as `FROM>TO`."""
    return GUARD_STATUS.replace("{moves}", _array(moves))


def guard_2(moves: tuple[str, ...], rollbacks: tuple[str, ...]) -> str:
    """The second one: `rollbacks` are the moves that open a round."""
    known = GUARD_STATUS_2.replace("{moves}", _array(moves))
    return known.replace("{rollbacks}", _array(rollbacks))


def _array(moves: tuple[str, ...]) -> str:
    return ", ".join(f"'{move}'" for move in moves)
