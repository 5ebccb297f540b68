"""The Celery app for the proof: the real one, with the channels' patience scaled down.

celery -A scripts.proof_worker worker
"""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scripts.proof_settings")
django.setup()

from deliveries import breaker, services  # noqa: E402  # needs the app registry
from deliveries.channels import sms  # noqa: E402
from deliveries.channels.slack import api  # noqa: E402
from hitl.celery import app  # noqa: E402

# A provider that does not answer is given up after this long instead of 5 to 20 seconds.
PATIENCE = 2.0
api.TIMEOUT = PATIENCE  # type: ignore[assignment]
sms.TIMEOUT_SECONDS = PATIENCE
services.SILENT_SECONDS = 1.8
breaker.REST_SECONDS = 2

__all__ = ("app",)
