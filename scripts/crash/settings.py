"""The real settings for the crash matrix: a database whose every statement is a boundary.

This is the only place that names `scripts.crash.engine`; nothing that runs in production loads it.
"""

from hitl.settings import *  # noqa: F403  # little is changed

DATABASES["default"]["ENGINE"] = "scripts.crash.engine"  # noqa: F405  # comes with the star
del DATABASES["default"]["OPTIONS"]["pool"]  # noqa: F405  # its threads would not survive a fork
EMAIL_TIMEOUT = 5
WEBHOOK_IN_FLIGHT = 100
