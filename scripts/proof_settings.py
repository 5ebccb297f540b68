"""The real settings with time scaled down, for `scripts/proof_deliveries.py` and its workers."""

import datetime as dt

from hitl.settings import *  # noqa: F403  # little is changed

EMAIL_TIMEOUT = 2
DELIVERY_CLAIM_SECONDS = WEBHOOK_CLAIM_SECONDS = 10
for _sweep in CELERY_BEAT_SCHEDULE.values():  # noqa: F405  # comes with the star
    _sweep["schedule"] = min(_sweep["schedule"], dt.timedelta(seconds=1))
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
