"""The data format of a policy (format 1), and the judge of what people write in it.

POLICY = {
    "format": 1,
    "name": "Refunds",
    "stages": [STAGE, …],              1 to 10, walked in order; one at least has no "when"
    "allowOwner": false,               the owner of the agent may answer, too
    "allowRequester": false,           and whoever it asks for
    "allowTwice": false,               a stand-in may also answer in their own name
    "differentPeople": false,          nobody answers in two stages
    "timeoutSeconds": 86400,           for the whole request; absent: the action type's
    "calendar": CALENDAR               when reminders are welcome; see `calendars`
}
STAGE = {
    "name": "Finance",
    "need": NEED,
    "onReject": "deny",                one rejection rejects; or "impossible": only once the
                                       others cannot make up the number any more
    "when": "data.amount > 10000",     CEL over the request; absent: always
    "minPeople": 1,                    so many different people have to answer in person
    "allowEdit": true,                 people may change the data while they approve
    "channels": ["slack", "email"],    absent: each person's own preference
    "reminders": [{"after": 3600}, {"before": 900}],      seconds after the stage opened, or before
                                                          the deadline
    "escalation": [STEP, …],           in the order of "after"
    "stepUp": ["high"],                risks at which a second factor is asked for
    "timeoutAction": "reject",         or "hold", "escalate", "approve" (low risk only); absent: as
                                       the request or its action type says
    "extendMax": 0                     seconds by which the deadline may be moved in all
}
NEED = {"who": WHO, "count": 2} | {"who": WHO, "count": "all"} | {"allOf": [NEED, …]}
     | {"anyOf": [NEED, …]}
WHO  = one of {"team": "approvers"}, {"users": [id, …]}, {"roles": ["manager"]},
       {"group": id or slug}, {"agentOwner": true},
       {"expression": "CEL over person and request"}; and "label", what to call them in a sentence
STEP = {
    "after": 14400,                    seconds after the stage opened
    "to": WHO,
    "count": 1,                        so many of them are enough, without the stage's own people
    "mode": "add",                     or "replace": nobody else is asked any more
    "repeat": 3, "every": 3600,        tell them again so often
    "channels": ["sms"]
}

In normal form the shorthands are written out, what only says the default is left out (but for
`allowOwner` and `onReject`), and the keys stand in the order above.
"""

import json
from collections.abc import Collection
from typing import Any

from hitl.lib import pointer
from workflows.policies import calendars
from workflows.policies.checks import Checks
from workflows.policies.needs import leaves
from workflows.policies.stages import LONGEST, StageReader, without

FORMAT = 1
MAX_STAGES, MAX_BYTES = 10, 64_000
DEFAULTS: dict[str, Any] = {
    "allowRequester": False, "allowTwice": False, "differentPeople": False,
    "timeoutSeconds": None, "calendar": None,
}  # fmt: skip
KEYS = ("format", "name", "allowOwner", *DEFAULTS, "stages")


def normalise(policy: Any, *, channels: Collection[str] | None = None) -> dict[str, Any]:
    """The normal form of a policy.

    `channels` are the names of the channels there are; None allows any. Raises InvalidInput with a
    pointer and a remedy for everything that is wrong, as far as it can be told.
    """
    checks = Checks()
    normal = _read(policy, checks, channels)
    checks.stop("policy")
    return normal


def validate(policy: Any, *, channels: Collection[str] | None = None) -> None:
    """Raise InvalidInput as `normalise` does."""
    normalise(policy, channels=channels)


def _read(value: Any, checks: Checks, channels: Collection[str] | None) -> dict[str, Any]:
    policy = checks.object(value, "", KEYS)
    for key in ("name", "stages"):
        if key not in policy:
            checks.fault("", f"{key} is missing.", "required")
    if policy.get("format", FORMAT) != FORMAT or policy.get("format") is True:
        checks.fault("/format", f"Only format {FORMAT} is known.")
    if _too_large(policy):
        checks.fault("", f"The policy is larger than {MAX_BYTES} bytes.")
        return {}
    given = {key: policy[key] for key in DEFAULTS if policy.get(key) is not None}
    reader = StageReader(checks, channels)
    stages = checks.list(policy.get("stages", []), "/stages", MAX_STAGES)
    normal = {
        "format": FORMAT,
        "name": checks.text(policy.get("name", "?"), "/name"),
        "allowOwner": checks.truth(policy.get("allowOwner", False), "/allowOwner"),
        **without({key: _option(key, given[key], checks) for key in given}, DEFAULTS),
        "stages": [reader.read(s, pointer.join("/stages", n)) for n, s in enumerate(stages)],
    }
    _check_stages(normal, checks)
    return normal


def _too_large(policy: dict[str, Any]) -> bool:
    try:
        return len(json.dumps(policy)) > MAX_BYTES
    except (TypeError, ValueError, RecursionError):
        return True


def _option(key: str, value: Any, checks: Checks) -> Any:
    if key == "timeoutSeconds":
        return checks.number(value, "/timeoutSeconds", 1, LONGEST, "seconds")
    if key == "calendar":
        calendars.check(value, "/calendar", checks)
        return value
    return checks.truth(value, f"/{key}")


def _check_stages(policy: dict[str, Any], checks: Checks) -> None:
    """What no single stage can tell."""
    stages = policy["stages"]
    if not stages:
        checks.fault("/stages", "Write at least one stage.")
    elif all("when" in stage for stage in stages):
        checks.fault("/stages", "One stage at least has to apply always: leave its when out.")
    for number, stage in enumerate(stages):
        asks_owner = any("agentOwner" in leaf["who"] for leaf in leaves(stage["need"]))
        asks_owner |= any("agentOwner" in s["to"] for s in stage.get("escalation", ()))
        if asks_owner and not policy["allowOwner"]:
            here = pointer.join("/stages", number)
            checks.fault(here, "It asks the agent's owner: set allowOwner to true.")
