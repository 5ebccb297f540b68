"""Looks at a whole installation and says what is wrong, why that matters and what to do."""

from hitl.doctor import channels, obligations, proof, server, store, webhooks
from hitl.doctor.findings import FAIL, OFF, OK, WARN, Finding


def examine() -> list[Finding]:
    """Every finding, from the ground up; what stands on something broken is not looked at."""
    found = [*server.look(), *store.look()]
    if not any(each.topic == store.DATABASE and each.level == FAIL for each in found):
        migrations = store.migrations()
        found += [*migrations, *store.clock()]
        if all(each.level == OK for each in migrations):
            found += [*obligations.look(), *webhooks.look(), *proof.look()]
    return [*found, *channels.look()]


__all__ = ("FAIL", "OFF", "OK", "WARN", "Finding", "examine")
