"""An example of statistics for the OpenAPI document; a test holds it against the schema."""

from typing import Any

from workflows.statistics.spread import BOUNDS

_LOWS = (0, *BOUNDS)
_HIGHS = (*BOUNDS, None)


def _durations(counts: dict[int, int], mean: int, p50: int, p90: int) -> dict[str, Any]:
    """Durations by the number of their bucket; p50 and p90 lie in its first and last one."""
    first, last = min(counts), max(counts)
    return {
        "count": sum(counts.values()),
        "meanSeconds": mean,
        "p50": {"seconds": p50, "from": _LOWS[first], "to": _HIGHS[first]},
        "p90": {"seconds": p90, "from": _LOWS[last], "to": _HIGHS[last]},
        "histogram": [
            {"from": low, "to": high, "count": counts.get(number, 0)}
            for number, (low, high) in enumerate(zip(_LOWS, _HIGHS, strict=True))
        ],
    }


_NUMBERS: dict[str, Any] = {
    "requests": 12,
    "pending": 1,
    "byPeople": 6,
    "approved": 3,
    "modified": 1,
    "rejected": 2,
    "byRule": 3,
    "ruleApproved": 3,
    "ruleRejected": 0,
    "bySilence": 0,
    "timedOut": 2,
    "cancelled": 0,
    "completed": 5,
    "failed": 1,
    "unknown": 0,
    "approvalRate": 0.6666666666666666,
    "editRate": 0.25,
    "rejectionRate": 0.3333333333333333,
    "timeoutRate": 0.25,
    "ruleRate": 0.3333333333333333,
    "timeToFirstView": _durations({2: 5, 5: 2}, 160, 51, 525),
    "timeToDecision": _durations({4: 4, 6: 2}, 487, 255, 1440),
}
BY_AGENT: dict[str, Any] = {
    "from": "2026-10-25",
    "to": "2026-11-23",
    "groupBy": "agent",
    "total": _NUMBERS,
    "load": {
        "asked": 18,
        "viewed": 9,
        "answered": 6,
        "approved": 3,
        "modified": 1,
        "rejected": 2,
        "forOthers": 1,
        "refused": 0,
        "answerRate": 0.3333333333333333,
        "timeToAnswer": _durations({4: 4, 6: 2}, 470, 255, 1440),
    },
    "items": [
        {
            "key": "019aaf1e-7d2f-7c7b-8a5e-1b2c3d4e5f60",
            "name": "refund-bot",
            "requests": _NUMBERS,
            "load": None,
        }
    ],
    "more": 0,
    "asOf": "2026-11-23T16:52:00Z",
}
