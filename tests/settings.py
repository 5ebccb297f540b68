"""The real settings with little changed: where the data lives, and cheap password hashes."""

import os
import tempfile

os.environ.setdefault("HITL_DATA", tempfile.mkdtemp(prefix="hitl-tests-"))
os.environ.setdefault("PUBLIC_URL", "http://testserver")
if os.environ.get("TEST_DATABASE_URL"):
    os.environ["DATABASE_URL"] = os.environ["TEST_DATABASE_URL"]
    # One Redis database a worker process, so that emptying a cache disturbs no neighbour.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    os.environ["REDIS_URL"] = os.environ["TEST_REDIS_URL"].removesuffix("/0") + f"/{worker}"
    os.environ.setdefault("SECRET_KEY", "secret-key-of-the-tests-0123456789abcdef-0123456789")
    os.environ.setdefault("JWT_SECRET", "jwt-secret-of-the-tests-0123456789abcdef")
    os.environ.setdefault("SIGNING_KEYS", "hitl_sk_c2lnbmluZy1rZXktb2YtdGhlLXRlc3RzLTAxMjM0NTY")
    os.environ.setdefault("ALLOWED_HOSTS", "testserver,localhost,127.0.0.1")

from hitl.settings import *

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
WHITENOISE_AUTOREFRESH = True
# Pokes run when a test asks for it; rows and sweeps are what is tested.
CELERY_BROKER_URL = "memory://"
CELERY_BROKER_TRANSPORT_OPTIONS = {}
if EMBEDDED:
    # A file as in life: in memory, threads would find tables locked instead of waiting their turn.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "tests.sqlite3")}
    DATABASES["default"]["OPTIONS"]["init_command"] = (
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA foreign_keys=ON;"
    )
if "pool" in DATABASES["default"].get("OPTIONS", {}):
    # A pool would keep connections open while the test database is dropped.
    del DATABASES["default"]["OPTIONS"]["pool"]
# A test asks more often than anybody does. Limits have tests of their own, which set them.
RATE_LIMIT_API = RATE_LIMIT_PUBLIC = RATE_LIMIT_LOGIN = RATE_LIMIT_MISSES = None
CHECKPOINT_FILE = ""  # a test's database is not the one of the test before
# Channels are off until a test gives them an account.
for _account in SANDBOX_ACCOUNTS.values():
    globals().update(dict.fromkeys(_account, ""))
SANDBOX_ACCOUNTS.clear()
SLACK_API_URL = "https://slack.com/api/"
TWILIO_API_URL = "https://api.twilio.com"
TELEGRAM_API_URL = "https://api.telegram.org"
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
