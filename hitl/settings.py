"""Every setting, grouped by concern, read from the environment (and `.env`).

Without DATABASE_URL the server is *embedded*: SQLite, in-memory broker and generated secrets in
the data folder, all in one process. With it, no secret has a default: a missing one stops the
start.
"""

import datetime as dt
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from hitl import sandbox_accounts
from hitl.lib import local_names, local_secrets, peers, signing_keys
from hitl.lib.limits import Rate

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
if (BASE_DIR / ".env").exists():
    env.read_env(BASE_DIR / ".env")

# --- Mode ---------------------------------------------------------------------------------------
DATABASE_URL: str = env.str("DATABASE_URL", default="")
REDIS_URL: str = env.str("REDIS_URL", default="")
EMBEDDED = not DATABASE_URL
DEBUG: bool = env.bool("DEBUG", default=False)
DATA_DIR = Path(env.str("HITL_DATA", default=str(BASE_DIR / "var"))).resolve()
if not EMBEDDED and not REDIS_URL:
    raise ImproperlyConfigured(
        "DATABASE_URL is set, so REDIS_URL must be too (redis://host:6379/0)."
    )

# --- Secrets ------------------------------------------------------------------------------------
_local = local_secrets.load(DATA_DIR) if EMBEDDED else {}
SECRET_KEY: str = env.str("SECRET_KEY", default=_local.get("SECRET_KEY", environ.Env.NOTSET))
JWT_SECRET: str = env.str("JWT_SECRET", default=_local.get("JWT_SECRET", environ.Env.NOTSET))
if len(JWT_SECRET) < 32:
    raise ImproperlyConfigured(
        "JWT_SECRET must have at least 32 characters (RFC 7518, section 3.2)."
    )
# Seal what is secret in the database (webhook secrets): the first seals, all open. SECRET_KEY opens
# too, and does both where none is named.
ENCRYPTION_KEYS: list[str] = env.list("ENCRYPTION_KEYS", default=[])
if any(len(_key) < 32 for _key in ENCRYPTION_KEYS):
    raise ImproperlyConfigured("Each of ENCRYPTION_KEYS must have at least 32 characters.")
# Ed25519 keys that sign receipts and checkpoints: the first signs, all verify. A system check
# refuses to start a server without one.
SIGNING_KEYS: list[str] = env.list("SIGNING_KEYS", default=[])
if EMBEDDED and not SIGNING_KEYS:
    # In a file of its own, so that folders of older servers get one too.
    _made = local_secrets.load(DATA_DIR, "signing.json", {"SIGNING_KEYS": signing_keys.generate})
    SIGNING_KEYS = _made["SIGNING_KEYS"].split(",")

# --- Address ------------------------------------------------------------------------------------
PORT: int = env.int("PORT", default=4000)
HOST: str = env.str("HOST", default="127.0.0.1")
PUBLIC_URL: str = env.str("PUBLIC_URL", default=f"http://localhost:{PORT}")
# Embedded: loopback, and on HOST=0.0.0.0 this machine's own name and addresses.
ALLOWED_HOSTS: list[str] = env.list(
    "ALLOWED_HOSTS", default=local_names.names(HOST) if EMBEDDED else environ.Env.NOTSET
)
_public_host = urlsplit(PUBLIC_URL).hostname or ""
if _public_host not in ALLOWED_HOSTS:
    ALLOWED_HOSTS = [*ALLOWED_HOSTS, _public_host]
HTTPS = PUBLIC_URL.startswith("https://")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL.rstrip("/")] if HTTPS else []
# Only a proxy that overwrites X-Forwarded-Proto may be trusted with it.
if env.bool("BEHIND_TLS_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# Whose X-Forwarded-For is believed, read from its end. Nobody's where nobody is named.
try:
    TRUSTED_PROXIES = peers.parse_networks(env.list("TRUSTED_PROXIES", default=[]))
except ValueError as _error:
    raise ImproperlyConfigured(f"TRUSTED_PROXIES: {_error}") from None

# --- Limits: how often one caller may ask; "off" for none -----------------------------------------
try:
    # Of one agent's credential or one person, at the API.
    RATE_LIMIT_API = Rate.parse(env.str("RATE_LIMIT_API", default="6000/minute"))
    # Of one address: pages that need no login; attempts to log in; wrong credentials, unknown
    # links and unsigned posts.
    RATE_LIMIT_PUBLIC = Rate.parse(env.str("RATE_LIMIT_PUBLIC", default="300/minute"))
    RATE_LIMIT_LOGIN = Rate.parse(env.str("RATE_LIMIT_LOGIN", default="30/minute"))
    RATE_LIMIT_MISSES = Rate.parse(env.str("RATE_LIMIT_MISSES", default="20/minute"))
except ValueError as _error:
    raise ImproperlyConfigured(f"RATE_LIMIT_…: {_error}") from None

# --- Roles --------------------------------------------------------------------------------------
# The role web: processes, and threads in each.
WEB_WORKERS: int = env.int("WEB_WORKERS", default=max(2, os.cpu_count() or 1))
WEB_THREADS: int = env.int("WEB_THREADS", default=4)
if min(WEB_WORKERS, WEB_THREADS) < 1:
    raise ImproperlyConfigured("WEB_WORKERS and WEB_THREADS must be 1 or more.")
# So long web and live go on answering after they were told to stop, for the proxy to notice.
DRAIN_SECONDS: float = env.float("DRAIN_SECONDS", default=5.0)

# --- Applications -------------------------------------------------------------------------------
INSTALLED_APPS = [
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "hitl",
    "hitl.accounts",
    "hitl.operate",
    "events",
    "deliveries",
    "workflows",
    "dashboard",
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "hitl.admin_config.HitlAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "csp",
]
MIDDLEWARE = [
    "hitl.operate.middleware.observed",
    "workflows.api.middleware.problem_documents",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "dashboard.middleware.page_headers",
    "dashboard.limits.public_pages",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
ROOT_URLCONF = "hitl.urls"
ASGI_APPLICATION = "hitl.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "dashboard.context.navigation",
            ]
        },
    }
]
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
FORMAT_MODULE_PATH = "hitl.formats"

# --- Database -----------------------------------------------------------------------------------
# Services own their transactions: ATOMIC_REQUESTS stays off.
DATABASES: dict[str, dict[str, Any]]
if EMBEDDED:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATA_DIR / "hitl.sqlite3",
            "OPTIONS": {
                "timeout": 20,
                # Writers queue at BEGIN instead of failing half way with "database is locked".
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
                "PRAGMA foreign_keys=ON;",
            },
        }
    }
else:
    DATABASES = {"default": env.db_url("DATABASE_URL")}
    DATABASES["default"].setdefault("OPTIONS", {})
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    DATABASES["default"]["OPTIONS"]["pool"] = {
        "min_size": env.int("DATABASE_POOL_MIN", default=2),
        "max_size": env.int("DATABASE_POOL_MAX", default=10),
        "timeout": 10,
    }

# --- Redis: broker, channel layer, cache. All of it may be erased at any second. ----------------
CHANNEL_LAYERS: dict[str, dict[str, Any]]
CACHES: dict[str, dict[str, Any]]
if REDIS_URL:
    CELERY_BROKER_URL = REDIS_URL
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "retry_on_timeout": True,
    }
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [REDIS_URL]},
        }
    }
    CACHES = {
        "default": {
            "BACKEND": "hitl.lib.caches.RedisCache",
            "LOCATION": REDIS_URL,
            # A request waits no longer for what it can do without.
            "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1},
        }
    }
else:
    CELERY_BROKER_URL = "memory://localhost/"
    CELERY_BROKER_TRANSPORT_OPTIONS = {"polling_interval": 0.05}
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "hitl.lib.layers.EmbeddedChannelLayer",
            "CONFIG": {"capacity": 10_000},  # beyond it messages are dropped without a word
        }
    }
    CACHES = {"default": {"BACKEND": "hitl.lib.caches.LocMemCache"}}

# --- Celery: messages are wake-ups, rows are the truth ------------------------------------------
CELERY_TASK_IGNORE_RESULT = True
CELERY_RESULT_EXPIRES = None  # no results, so nothing for beat to clean up every night
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TIME_LIMIT = 120
CELERY_TASK_SOFT_TIME_LIMIT = 90
CELERY_TASK_PUBLISH_RETRY = False  # a lost wake-up costs seconds, a blocked request costs the user
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A queue for each kind of work, so that none starves another where each has workers of its own
# (`manage.py worker --queues`). A task without a route would be an error, not a fifth queue.
QUEUES = ("deliveries", "webhooks", "actions", "sweeps")
CELERY_TASK_QUEUES = {_name: {"exchange": _name, "routing_key": _name} for _name in QUEUES}
CELERY_TASK_DEFAULT_QUEUE = "sweeps"
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_ROUTES = {
    "deliveries.tasks.send_delivery": {"queue": "deliveries"},
    "deliveries.tasks.update_delivery": {"queue": "deliveries"},
    "events.tasks.drain_webhooks": {"queue": "webhooks"},
    "workflows.tasks.execute_workflow": {"queue": "actions"},
    "deliveries.tasks.ring_deliveries": {"queue": "sweeps"},
    "*.tasks.sweep_*": {"queue": "sweeps"},
    "events.tasks.sync_webhooks": {"queue": "sweeps"},
    "events.tasks.forget_webhooks": {"queue": "sweeps"},
    # Beat names the queue that each is meant for.
    "hitl.operate.tasks.pulse": {"queue": "sweeps"},
}
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 2
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    # The watchdog's: a queue from which nobody takes one for long has no worker. Those that nobody
    # took in time are thrown away.
    **{
        f"pulse {_name}": {
            "task": "hitl.operate.tasks.pulse",
            "schedule": dt.timedelta(seconds=10),
            "args": [f"worker {_name}"],
            "options": {"queue": _name, "expire_seconds": 30},
        }
        for _name in QUEUES
    },
    "sweep timeouts": {
        "task": "workflows.tasks.sweep_timeouts",
        "schedule": dt.timedelta(seconds=1),
    },
    "sweep steps": {
        "task": "workflows.tasks.sweep_steps",
        "schedule": dt.timedelta(seconds=1),
    },
    "sweep executions": {
        "task": "workflows.tasks.sweep_executions",
        "schedule": dt.timedelta(seconds=5),
    },
    "sweep deliveries": {
        "task": "deliveries.tasks.sweep_deliveries",
        "schedule": dt.timedelta(seconds=5),
    },
    "sweep unreached": {
        "task": "deliveries.tasks.sweep_unreached",
        "schedule": dt.timedelta(minutes=1),
    },
    "sweep webhooks": {
        "task": "events.tasks.sweep_webhooks",
        "schedule": dt.timedelta(seconds=5),
    },
    "sync webhooks": {
        "task": "events.tasks.sync_webhooks",
        "schedule": dt.timedelta(minutes=1),
    },
    "forget webhooks": {
        "task": "events.tasks.forget_webhooks",
        "schedule": dt.timedelta(hours=1),
    },
    "sweep checkpoints": {
        "task": "events.tasks.sweep_checkpoints",
        "schedule": dt.timedelta(minutes=2),
    },
    "sweep statistics": {
        "task": "workflows.tasks.sweep_statistics",
        "schedule": dt.timedelta(seconds=30),
    },
    "sweep idempotency keys": {
        "task": "workflows.tasks.sweep_idempotency_keys",
        "schedule": dt.timedelta(hours=1),
    },
}

# --- People: sessions, passwords ----------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "inbox"
LOGOUT_REDIRECT_URL = "login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
SESSION_COOKIE_AGE = 14 * 24 * 3600
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_HTTPONLY = False  # our own script reads it to post fragments

# Second factors, through django-allauth. Its pages and its limits are not used: ours stand in
# dashboard/, and hitl.accounts.tries counts in rows, which outlive the cache.
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_ADAPTER = "hitl.accounts.factors.Adapter"
MFA_FORMS = {
    "authenticate": "hitl.accounts.factor_forms.CodeForm",
    "authenticate_webauthn": "hitl.accounts.factor_forms.PasskeyForm",
}
MFA_TOTP_ISSUER = f"hitl {_public_host}"
MFA_TOTP_TOLERANCE = 1  # a clock half a minute off, or a code typed slowly (RFC 6238, section 5.2)
ACCOUNT_RATE_LIMITS = False
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
# How long a second factor, once shown, is good for decisions that demand one.
STEP_UP_MINUTES: int = env.int("STEP_UP_MINUTES", default=10)

# --- Browser security ---------------------------------------------------------------------------
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = HTTPS and env.bool("SSL_REDIRECT", default=True)
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$", r"^ping$"]
SECURE_HSTS_SECONDS: int = env.int("HSTS_SECONDS", default=31_536_000 if HTTPS else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# --- Admin: the look of the operators' pages ------------------------------------------------------
UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "hitl admin",
    "SITE_HEADER": "hitl",
    "SITE_SUBHEADER": "For operators",
    "SITE_ICON": "hitl.admin_site.logo",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "hitl.admin_site.logo"}],
    "SITE_URL": "/",
    "STYLES": ["hitl.admin_site.style_sheet"],
    "DASHBOARD_CALLBACK": "hitl.admin_site.attention",
    "BORDER_RADIUS": "7px",
    "COLORS": {
        "base": {
            "50": "#f8fafc",
            "100": "#f1f5f9",
            "200": "#e2e8f0",
            "300": "#cbd5e1",
            "400": "#94a3b8",
            "500": "#5d6b80",
            "600": "#475569",
            "700": "#334155",
            "800": "#1e293b",
            "900": "#0f172a",
            "950": "#020617",
        },
        "primary": {
            "50": "#eef0fc",
            "100": "#e0e4fa",
            "200": "#c6ccf6",
            "300": "#a3aeff",
            "400": "#8794f5",
            "500": "#6474f0",
            "600": "#4353d1",
            "700": "#3644b5",
            "800": "#2d3992",
            "900": "#283274",
            "950": "#1f2444",
        },
    },
    "SIDEBAR": {"show_search": True, "navigation": "hitl.admin_site.navigation"},
}

# --- Static files -------------------------------------------------------------------------------
STATIC_URL = "static/"
# Embedded serves straight from the apps: what was collected earlier may be yesterday's.
STATIC_ROOT = None if EMBEDDED else BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if EMBEDDED
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = EMBEDDED

# --- Agent API ----------------------------------------------------------------------------------
MAX_BODY_BYTES: int = env.int("MAX_BODY_BYTES", default=256 * 1024)
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * MAX_BODY_BYTES
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "hitl.accounts.authentication.ApiKeyAuthentication",
        "hitl.accounts.authentication.JwtAuthentication",
        "hitl.accounts.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["hitl.accounts.permissions.IsKnown"],
    "DEFAULT_PARSER_CLASSES": ["workflows.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["workflows.api.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "workflows.api.renderers.AlwaysJSON",
    "DEFAULT_SCHEMA_CLASS": "workflows.api.schema.AutoSchema",
    "EXCEPTION_HANDLER": "workflows.api.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "DATETIME_FORMAT": "iso-8601",
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "hitl",
    "DESCRIPTION": "A person between an AI agent and the thing it wants to do.",
    "VERSION": "1",
    "LICENSE": {"name": "MIT", "identifier": "MIT"},
    "OAS_VERSION": "3.1.1",
    "SERVERS": [{"url": "/"}],
    "SERVE_INCLUDE_SCHEMA": False,
    "CAMELIZE_NAMES": True,
    "ENUM_SUFFIX": "",
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "WorkflowStatus": "workflows.models.Status",
        "AttemptStatus": "workflows.models.ExecutionAttempt.Status",
        "Executor": "workflows.models.Executor",
        "Semantics": "workflows.models.Semantics",
        "Verdict": "workflows.models.Verdict",
        "Risk": "workflows.models.Risk",
        "RemarkKind": "workflows.models.Remark.Kind",
        "TimeoutAction": "workflows.models.TimeoutAction",
        "Source": "workflows.models.doors",
        "DeliveryStatus": "deliveries.models.Delivery.Status",
        "DeliveryKind": "deliveries.models.Delivery.Kind",
        "Channel": "deliveries.channels.channel_choices",
        "WebhookMessageStatus": "events.models.WebhookMessage.Status",
        "WebhookFormat": "events.models.WebhookEndpoint.Format",
        "WebhookDisabled": "events.models.WebhookEndpoint.Disabled",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "workflows.api.schema.describe",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
}
IDEMPOTENCY_KEY_HOURS = 48
LONG_POLL_SECONDS = 60

# --- Workflows ----------------------------------------------------------------------------------
# The clock that `time` in policies and rules is read on.
POLICY_TIME_ZONE: str = env.str("POLICY_TIME_ZONE", default="UTC")
DEFAULT_TIMEOUT_SECONDS: int = env.int("DEFAULT_TIMEOUT_SECONDS", default=24 * 3600)
EXECUTION_LEASE_SECONDS: int = env.int("EXECUTION_LEASE_SECONDS", default=300)
# Where approved HTTP actions may go although the address is private: CIDRs or host:port.
OUTBOUND_ALLOW: list[str] = env.list("OUTBOUND_ALLOW", default=[])
OUTBOUND_ALLOW_HTTP: bool = env.bool("OUTBOUND_ALLOW_HTTP", default=False)
# Signs the HTTP calls that carry out approved actions (Standard Webhooks secret, whsec_…).
ACTION_SIGNING_SECRET: str = env.str("ACTION_SIGNING_SECRET", default="")
# Registered Python actions: modules imported at start, comma separated.
ACTION_MODULES: list[str] = env.list("ACTION_MODULES", default=["workflows.actions.samples"])

# --- Deliveries: a channel is on when what it needs is set --------------------------------------
EMAIL_URL: str = env.str("EMAIL_URL", default="")
DEFAULT_FROM_EMAIL: str = env.str("DEFAULT_FROM_EMAIL", default=f"hitl <hitl@{_public_host}>")
EMAIL_TIMEOUT = 20
# Instead of SMTP a provider's API, through django-anymail and under its own names for the rest:
# ANYMAIL_POSTMARK_SERVER_TOKEN, ANYMAIL_MAILGUN_API_KEY, … (docs/email.md lists them).
EMAIL_PROVIDER: str = env.str("EMAIL_PROVIDER", default="")
EMAIL_PROVIDERS = (
    "brevo", "mailersend", "mailgun", "mailjet", "mailtrap", "mandrill", "postal", "postmark",
    "resend", "scaleway", "sendgrid", "sparkpost", "unisender_go",
)  # fmt: skip
if EMAIL_PROVIDER and EMAIL_PROVIDER not in EMAIL_PROVIDERS:
    raise ImproperlyConfigured(
        f"EMAIL_PROVIDER is {EMAIL_PROVIDER!r}; choose from {', '.join(EMAIL_PROVIDERS)}."
    )
_words = {"on": True, "true": True, "off": False, "false": False}
ANYMAIL: dict[str, Any] = {"REQUESTS_TIMEOUT": EMAIL_TIMEOUT} | {
    _name.removeprefix("ANYMAIL_"): _words.get(_value.lower(), _value)
    for _name, _value in env.ENVIRON.items()
    if _name.startswith("ANYMAIL_")
}
# "user:password" that the provider has to bring: without it nothing it posts is taken at all.
ANYMAIL["WEBHOOK_SECRET"] = env.list("ANYMAIL_WEBHOOK_SECRET", default=[])
# People may answer mails: to this mailbox with "+" and a token, which the provider posts to us.
REPLY_ADDRESS: str = env.str("REPLY_ADDRESS", default="")
# Slack: the app of docs/slack-app-manifest.yaml. The bot's token (xoxb-…) posts; clicks come back
# as posts signed with the signing secret ("new,old" while it is being replaced), or through Socket
# Mode, which needs no public address but the app's token (xapp-…).
SLACK_BOT_TOKEN: str = env.str("SLACK_BOT_TOKEN", default="")
SLACK_SIGNING_SECRET: str = env.str("SLACK_SIGNING_SECRET", default="")
SLACK_APP_TOKEN: str = env.str("SLACK_APP_TOKEN", default="")
SLACK_API_URL: str = env.str("SLACK_API_URL", default="https://slack.com/api/")
# The sandbox catches messages of channels without an account: embedded mode only.
SANDBOX = EMBEDDED and not EMAIL_URL and not EMAIL_PROVIDER
if EMAIL_PROVIDER:
    EMAIL_BACKEND = f"anymail.backends.{EMAIL_PROVIDER}.EmailBackend"
elif EMAIL_URL:
    globals().update(env.email_url("EMAIL_URL"))
else:
    EMAIL_BACKEND = (
        "deliveries.sandbox.EmailBackend"
        if SANDBOX
        else "django.core.mail.backends.dummy.EmailBackend"
    )
# SMS through Twilio. TWILIO_FROM is a number (+15551234567) or a messaging service (MG…); point the
# number's incoming messages at PUBLIC_URL/webhooks/sms/callback.
TWILIO_ACCOUNT_SID: str = env.str("TWILIO_ACCOUNT_SID", default="")
TWILIO_AUTH_TOKEN: str = env.str("TWILIO_AUTH_TOKEN", default="")
TWILIO_FROM: str = env.str("TWILIO_FROM", default="")
TWILIO_API_URL: str = env.str("TWILIO_API_URL", default="https://api.twilio.com")
# A Telegram bot, and the secret_token its webhook was set with (letters, digits, _ and -).
TELEGRAM_BOT_TOKEN: str = env.str("TELEGRAM_BOT_TOKEN", default="")
TELEGRAM_WEBHOOK_SECRET: str = env.str("TELEGRAM_WEBHOOK_SECRET", default="")
# The bot's name, for the links that start it; asked for by getMe where it is not set.
TELEGRAM_BOT_NAME: str = env.str("TELEGRAM_BOT_NAME", default="")
TELEGRAM_API_URL: str = env.str("TELEGRAM_API_URL", default="https://api.telegram.org")
# Embedded, and without these accounts, the sandbox plays the providers at an address of our own.
SANDBOX_ACCOUNTS: dict[str, dict[str, str]] = {}
if SANDBOX:
    SANDBOX_ACCOUNTS = sandbox_accounts.load(DATA_DIR, local_names.myself(HOST, PORT), globals())
    for _account in SANDBOX_ACCOUNTS.values():
        globals().update(_account)
    # These calls never leave the machine, so they need no https either.
    SECURE_REDIRECT_EXEMPT.append(r"^sandbox/providers/")
DELIVERY_MAX_ATTEMPTS: int = env.int("DELIVERY_MAX_ATTEMPTS", default=6)
DELIVERY_FIRST_RETRY_SECONDS: int = env.int("DELIVERY_FIRST_RETRY_SECONDS", default=120)
# Per channel, where it differs: "slack=30,sms=60".
DELIVERY_FIRST_RETRY: dict[str, int] = env.dict(
    "DELIVERY_FIRST_RETRY", cast={"value": int, "cast": dict}, default={}
)
# How long a reply code in a text message is good for (OWASP ASVS 5.0, 6.5.5).
REPLY_CODE_MINUTES: int = env.int("REPLY_CODE_MINUTES", default=10)
DELIVERY_CLAIM_SECONDS = 90  # a row in flight longer than this is taken up again

# --- Webhooks: what happened, posted to the outside (docs/webhooks.md) ----------------------------
# The agents' platform, which is told the outcomes of all teams' requests: a URL, or a host behind
# https. Naming it permits it, be it private or http.
LLM_BACKEND_HOST: str = env.str("LLM_BACKEND_HOST", default="")
# What signs these posts (whsec_…); made by us and shown by `manage.py doctor` where it is empty.
LLM_BACKEND_SECRET: str = env.str("LLM_BACKEND_SECRET", default="")
WEBHOOK_TIMEOUT_SECONDS: int = env.int("WEBHOOK_TIMEOUT_SECONDS", default=20)
# Nothing but failures for so long, and an endpoint is switched off.
WEBHOOK_DISABLE_HOURS: int = env.int("WEBHOOK_DISABLE_HOURS", default=72)
WEBHOOK_LOG_DAYS: int = env.int("WEBHOOK_LOG_DAYS", default=30)
WEBHOOK_MAX_BYTES: int = env.int("WEBHOOK_MAX_BYTES", default=20_000)
WEBHOOK_IN_FLIGHT = 4  # messages on their way to one endpoint at a time
WEBHOOK_CLAIM_SECONDS = 60  # a message in flight longer than this is taken up again

# --- Proof: signed checkpoints over the log (docs/proof.md) ---------------------------------------
# A file outside the database that gets a line for every checkpoint; empty: the log's lines only.
CHECKPOINT_FILE: str = env.str(
    "CHECKPOINT_FILE", default=str(DATA_DIR / "checkpoints.jsonl") if EMBEDDED else ""
)

# --- Keep: restored backups (docs/backup.md) ------------------------------------------------------
# A standby that was promoted counts as a restored backup, unless none can have lost anything.
TRUST_FAILOVER: bool = env.bool("TRUST_FAILOVER", default=False)

# --- Bootstrap of a fresh embedded server -------------------------------------------------------
BOOTSTRAP_EMAIL: str = env.str("HITL_BOOTSTRAP_EMAIL", default="")
BOOTSTRAP_PASSWORD: str = env.str("HITL_BOOTSTRAP_PASSWORD", default="")
BOOTSTRAP_API_KEY: str = env.str("HITL_BOOTSTRAP_API_KEY", default="")

# --- Operation (docs/operations.md) ---------------------------------------------------------------
# Who brings it may read /metrics; without it an embedded server shows them on its own machine only.
METRICS_TOKEN: str = env.str("METRICS_TOKEN", default="")
if METRICS_TOKEN and len(METRICS_TOKEN) < 16:
    raise ImproperlyConfigured("METRICS_TOKEN must have at least 16 characters.")

# --- Logs: events with fields, never tokens or action data --------------------------------------
LOG_LEVEL: str = env.str("LOG_LEVEL", default="INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "class": "hitl.lib.logs.Line",
            "format": "%(asctime)s %(levelname)-7s %(name)s %(message)s",
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "uvicorn.access": {"level": "WARNING"},
        "celery": {"level": "WARNING"},
        "django_celery_beat": {"level": "WARNING"},
    },
}
