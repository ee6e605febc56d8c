"""One file, driven by the environment. Every variable is explained in `.env.example`."""

import logging
import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import dj_database_url
from csp.constants import NONE, SELF
from redis.connection import parse_url

from speedtrade.env import (
    BadSetting,
    env_addresses,
    env_bool,
    env_choice,
    env_decimal,
    env_int,
    env_list,
    env_port,
    env_rate,
    env_str,
    env_url,
    read_json,
    understood,
)

BASE_DIR = Path(__file__).resolve().parent.parent
ENVIRONMENT = env_choice("SPEEDTRADE_ENV", "development", ("development", "production", "test"))
PRODUCTION = ENVIRONMENT == "production"
TESTING = ENVIRONMENT == "test"
DEBUG = env_bool("DEBUG", False)
if DEBUG and PRODUCTION:
    raise BadSetting("DEBUG shows settings and code to strangers; it cannot be on in production.")

# ── where things are ────────────────────────────────────────────────────────
DATA_DIR = Path(env_str("SPEEDTRADE_DATA_DIR", str(BASE_DIR / ".data"))).resolve()
PORT = env_port("PORT", 8000)
_runtime = {} if PRODUCTION else read_json(DATA_DIR / "runtime.json")
_secrets = {} if PRODUCTION else read_json(DATA_DIR / "secrets.json")


def _secret(name: str, least: int = 32) -> str:
    """A secret of the environment, else (not in production) of the data folder."""
    fallback = "" if PRODUCTION else f"insecure-{name}-" * 3
    value = env_str(name, str(_secrets.get(name, "")) or fallback)
    if PRODUCTION and (len(value) < least or "insecure" in value or "change" in value.lower()):
        raise BadSetting(
            f"{name} is missing, short or an example value. Set it to at least {least} random "
            "characters: python -c 'import secrets; print(secrets.token_urlsafe(48))'"
        )
    return value


SECRET_KEY = _secret("SECRET_KEY")
JWT_SIGNING_KEY = _secret("JWT_SIGNING_KEY")
FIELD_KEYS = [key for key in map(str.strip, _secret("FIELD_KEYS").split(",")) if key]
if PRODUCTION and any(len(key) < 32 for key in FIELD_KEYS):
    raise BadSetting("Each of FIELD_KEYS, with commas between, must have at least 32 characters.")
if PRODUCTION and len({SECRET_KEY, JWT_SIGNING_KEY, *FIELD_KEYS}) < 2 + len(FIELD_KEYS):
    raise BadSetting("SECRET_KEY, JWT_SIGNING_KEY and FIELD_KEYS must be three separate secrets.")

# Former keys, which still open what they signed and sign nothing: `manage.py rotate_key`.
SECRET_KEY_FALLBACKS = env_list(
    "SECRET_KEY_FALLBACKS", str(_secrets.get("SECRET_KEY_FALLBACKS", ""))
)
JWT_SIGNING_KEY_FALLBACKS = env_list(
    "JWT_SIGNING_KEY_FALLBACKS", str(_secrets.get("JWT_SIGNING_KEY_FALLBACKS", ""))
)
if PRODUCTION and any(len(k) < 32 for k in (*SECRET_KEY_FALLBACKS, *JWT_SIGNING_KEY_FALLBACKS)):
    raise BadSetting("Each former key must have at least 32 characters, or be taken away.")

DEMO_PASSWORD = str(_secrets.get("DEMO_PASSWORD", ""))  # of the logins that seed_demo makes
_LOCAL_HOSTS = "localhost,127.0.0.1,[::1],testserver"
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", "" if PRODUCTION else _LOCAL_HOSTS)
if PRODUCTION and (not ALLOWED_HOSTS or "*" in ALLOWED_HOSTS):
    raise BadSetting("ALLOWED_HOSTS must name the hosts that people type, and never '*'.")
ALLOWED_ORIGINS = env_list("ALLOWED_ORIGINS")
TRUSTED_PROXIES = env_int("TRUSTED_PROXIES", 0)  # proxies of ours that append X-Forwarded-For

# ── Django ──────────────────────────────────────────────────────────────────
INSTALLED_APPS = [
    "speedtrade.admin_site.SpeedTradeAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.forms",  # its templates, for FORM_RENDERER
    "channels",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "corsheaders",
    "csp",
    "django_htmx",
    "django_structlog",
    "accounts.allauth_app.AllauthAccountConfig",
    "allauth.mfa",
    "speedtrade",
    "accounts",
    "marketdata",
    "portfolio",
    "trading",
]
MIDDLEWARE = [
    "speedtrade.metrics.web.MeasureMiddleware",
    "speedtrade.lib.middleware.RequestFloorMiddleware",
    "speedtrade.lib.request_log.RequestLogMiddleware",
    "speedtrade.metrics.token.ScrapeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    # Out here, so that answers to what middleware refuses carry it as well.
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.idle.SeenMiddleware",
    "speedtrade.lib.middleware.LoginDoorMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "speedtrade.lib.middleware.NotAllowedPageMiddleware",
    "speedtrade.lib.page_rates.PageRatesMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
]
ROOT_URLCONF = "speedtrade.urls"
FORCE_SCRIPT_NAME = ""  # mounted at the root, whatever a request or a server says
WSGI_APPLICATION = "speedtrade.wsgi.application"
ASGI_APPLICATION = "speedtrade.asgi.application"
WEB_THREADS = env_int("WEB_THREADS", 8, low=1)  # threads that serve HTTP in one web process
# From SIGTERM until nobody new is let in: a proxy reads /health/ready and looks elsewhere.
WEB_DRAIN_WAIT = timedelta(seconds=env_int("WEB_DRAIN_SECONDS", 5 if PRODUCTION else 0))
WEB_DRAIN_REQUESTS = timedelta(seconds=8)  # and then, for requests in hand to be finished
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "speedtrade.lib.htmx.page_context",
                "accounts.context.account_context",
                "trading.context.halt_context",
            ],
            "builtins": ["speedtrade.templatetags.ui"],
        },
    }
]
FORM_RENDERER = "speedtrade.lib.forms.HouseFormRenderer"
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.backends.NameOrEmailBackend"]
LOGIN_URL = "accounts:login"
LOGIN_REDIRECT_URL = "portfolio:dashboard"
LOGOUT_REDIRECT_URL = "home"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True
FORMAT_MODULE_PATH = ["speedtrade.dateformats"]  # in the admin; pages have a filter of their own
APPEND_SLASH = False  # pages have no trailing slash; a wrong one is redirected by the 404 handler
SILENCED_SYSTEM_CHECKS: list[str] = []

# ── PostgreSQL ──────────────────────────────────────────────────────────────
DATABASE_URL = env_str(
    "DATABASE_URL",
    str(_runtime.get("DATABASE_URL", ""))
    or ("" if PRODUCTION else "postgresql://127.0.0.1:1/nowhere"),
)
if not DATABASE_URL.startswith(("postgres://", "postgresql://")):
    raise BadSetting("DATABASE_URL must be a postgresql:// address; PostgreSQL is the one engine.")
# Whom `prepare` gives the rows to, where the processes run as a role that owns no table.
DATABASE_APP_ROLE = env_str("DATABASE_APP_ROLE", "")
LOCK_TIMEOUT = timedelta(seconds=3)  # a row lock waits so long, then the caller is told to retry
STATEMENT_TIMEOUT = timedelta(seconds=30)
with understood(
    "DATABASE_URL must be like postgresql://user:password@host:5432/name; what is no letter and no "
    "digit in the password is written as % and its number."
):
    DATABASES = {
        "default": dj_database_url.parse(
            DATABASE_URL, engine="speedtrade.database", conn_max_age=600, conn_health_checks=True
        )
    }
if not (DATABASES["default"]["NAME"] or DATABASES["default"].get("OPTIONS", {}).get("service")):
    raise BadSetting("DATABASE_URL must end with the name of the database.")
DATABASE_TRUSTED = timedelta(seconds=5)  # between two requests, a connection is not asked
DATABASES["default"].setdefault("OPTIONS", {})
PREPARE_AFTER = 3  # runs on one connection, after which PostgreSQL keeps the plan (lib/prepared.py)
DATABASES["default"]["OPTIONS"] |= {
    "connect_timeout": 5,
    # A line that dies in silence (a cable, a firewall) is given up, not waited for by a thread.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds for what was said and not heard
    "prepare_threshold": PREPARE_AFTER,
    "options": (
        f"-c lock_timeout={LOCK_TIMEOUT // timedelta(milliseconds=1)}"
        f" -c statement_timeout={STATEMENT_TIMEOUT // timedelta(milliseconds=1)}"
        " -c timezone=UTC"
    ),
}

# ── Redis, Channels, Celery ─────────────────────────────────────────────────
REDIS_URL = env_str(
    "REDIS_URL",
    str(_runtime.get("REDIS_URL", "")) or ("" if PRODUCTION else "redis://127.0.0.1:1/0"),
)
if not REDIS_URL.startswith(("redis://", "rediss://", "unix://")):
    raise BadSetting("REDIS_URL must be a redis://, rediss:// or unix:// address.")
with understood("REDIS_URL must be like redis://:password@host:6379/0."):
    parse_url(REDIS_URL)
if not REDIS_URL.startswith("unix://") and not re.fullmatch("/?[0-9]*", urlsplit(REDIS_URL).path):
    raise BadSetting("REDIS_URL must end with a number: what is none is taken for database 0.")
REDIS_TIMEOUT = timedelta(seconds=2)
REDIS_PAUSE = timedelta(seconds=2)  # after a failure, in which those who can do without do
# Channels of Redis are not apart by database number as keys are, so the name is.
LAYER_PREFIX = f"st:layer:{REDIS_URL.rpartition('/')[2]}:"
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": LAYER_PREFIX},
    }
}
QUEUE_PREFIX = "st:celery:"
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 120,
    "unacked_restore_throttle": 1,
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "global_keyprefix": QUEUE_PREFIX,
}
CELERY_TASK_DEFAULT_QUEUE = "celery"
BROKERS_QUEUE = "brokers"  # calls that wait for a broker out there, apart from all other work
CELERY_TASK_ROUTES = {
    f"trading.tasks.{name}": {"queue": BROKERS_QUEUE}
    for name in ("account_sync", "submission_recover", "order_look", "key_check")
}
CELERY_TASK_ROUTES["accounts.tasks.letters_sweep"] = {"queue": BROKERS_QUEUE}  # mail waits as well
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 60
CELERY_TASK_SOFT_TIME_LIMIT = 45
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 20
CELERY_TASK_IGNORE_RESULT = True
CELERY_RESULT_BACKEND = None
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_DB_REUSE_MAX = 1000  # without it Celery closes the connection around every task
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_PUBLISH_RETRY = False  # a lost wake-up costs one sweep; a wait costs a user
CELERY_TIMEZONE = "UTC"
TASK_STARTS = 5  # starts without an end, before work that ends its worker is put aside
TASK_STARTS_KEPT = timedelta(days=7)  # parked work is tried again then, if nobody has looked
# A periodic duty is not put aside, it rests; a row that ends it is put aside before that.
TASK_STARTS_PERIODIC, TASK_REST = 2 * TASK_STARTS + 1, timedelta(seconds=15)

# ── who gets in ─────────────────────────────────────────────────────────────
PASSWORD_HASHERS = [
    "accounts.hashers.HouseArgon2Hasher",
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.BCryptSHA256PasswordHasher",
    "django.contrib.auth.hashers.BCryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
PASSWORD_MIN_LENGTH = 10
PASSWORD_MAX_LENGTH = 256
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": PASSWORD_MIN_LENGTH},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
ACCESS_TOKEN_LIFETIME = timedelta(minutes=30)
REFRESH_TOKEN_LIFETIME = timedelta(days=1)
REFRESH_FAMILY_LIFETIME = timedelta(days=30)  # however often it is refreshed, then log in again
TOKEN_CLEANUP_PERIOD = timedelta(days=1)
AUDIT_SEAL_PERIOD = timedelta(minutes=1)
AUDIT_SEAL_LATE = 5 * AUDIT_SEAL_PERIOD  # a row that has no seal for so long is told
AUDIT_WALK_PERIOD = timedelta(days=1)  # along all of the chain
AUDIT_SEAL_BATCH = 5_000  # rows that one beat seals at most
AUDIT_SEAL_LOOK_BACK = 1_000  # ids; a row that commits later than so many others is told as missed
AUDIT_LOOK, AUDIT_SCRAPE = 10_000, 500  # newest links that the doctor walks, and each scrape
AUDIT_BREAKS_SHOWN = 20
# Second factors: allauth makes and checks them, `accounts/second_factor.py` is its one user.
MFA_ADAPTER = "accounts.second_factor.HouseAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_TOTP_ISSUER = "SpeedTrade"
MFA_TOTP_TOLERANCE = 1  # time steps of 30 seconds that the clock of a phone may be off
MFA_RECOVERY_CODE_COUNT = MFA_RECOVERY_CODE_DIGITS = 10
PASSKEYS_MAX = 10  # of one user
# Real money takes a second factor; where one person runs it for themselves they decide.
LIVE_SECOND_FACTOR = env_bool("LIVE_SECOND_FACTOR", ENVIRONMENT != "development")
SECOND_STEP_WAIT = timedelta(minutes=5)  # from the password to the code, then both again
BROWSER_SEEN_FOR = timedelta(days=90)  # from its last log-in on the next is told by no mail
BROWSER_SEEN_USERS = 5  # whom one browser remembers
BROWSER_TRUSTED_FOR = timedelta(days=30)  # a log-in there takes the password alone
FACTOR_RESET_WAIT = timedelta(days=1)  # from one of the staff asking to another approving
FACTOR_OFFERED_FOR = timedelta(minutes=15)  # a secret for an app, from its page to its first code
CONFIRMED_FOR = timedelta(minutes=5)  # what matters asks again who it is after so long
SECURITY_LOG_SHOWN = 10  # log-ins and changes of one's own account, in the settings
API_KEYS_MAX = 20  # living ones of one user
API_KEY_DAYS, API_KEY_DAYS_MAX = 90, 366  # of a new key, and at most
API_KEY_NETWORKS_MAX = 20  # addresses that one key names
API_KEY_EXPIRES_SOON = timedelta(days=7)  # from then on the page says so
API_KEY_USE_NOTED = timedelta(minutes=1)  # so often, at most, a key notes its last use
API_KEYS_DEAD_KEPT = timedelta(days=90)  # a key that is over is deleted so long after its end
JWT_ISSUER = "speedtrade"
JWT_AUDIENCE = "speedtrade-api"
JWT_LEEWAY = timedelta(seconds=10)
SIMPLE_JWT = {
    "ALGORITHM": "HS256",
    "SIGNING_KEY": JWT_SIGNING_KEY,
    "ISSUER": JWT_ISSUER,
    "AUDIENCE": JWT_AUDIENCE,
    "LEEWAY": JWT_LEEWAY,
    "ACCESS_TOKEN_LIFETIME": ACCESS_TOKEN_LIFETIME,
    "REFRESH_TOKEN_LIFETIME": REFRESH_TOKEN_LIFETIME,
}

# Rates are `limits` notations, several joined by ";", each counted on its own.
RATE_LOGIN_PER_ADDRESS = env_rate("RATE_LOGIN_PER_ADDRESS", "60/minute")
RATE_REGISTER_PER_ADDRESS = env_rate("RATE_REGISTER_PER_ADDRESS", "60/minute")
RATE_REGISTER_CHECK_PER_ADDRESS = env_rate("RATE_REGISTER_CHECK_PER_ADDRESS", "240/minute")
RATE_WRONG_PASSWORD = env_rate("RATE_WRONG_PASSWORD", "5/5minute")  # of a user, at one place
WRONG_PASSWORD_ANYWHERE = 4  # times that rate, of a user at all strange addresses together
RATE_API_PER_USER = env_rate("RATE_API_PER_USER", "600/minute;100/second")
RATE_ORDERS_PER_USER = env_rate("RATE_ORDERS_PER_USER", "300/minute;100/second")
RATE_CONNECT_PER_USER = env_rate("RATE_CONNECT_PER_USER", "20/minute;120/hour")
RATE_API_PER_KEY = env_rate("RATE_API_PER_KEY", "300/minute;50/second")
# Of one user: pages that cost much, files, the file of all data, letting a stopped account go on,
# and new e-mail addresses, each of which tells whether somebody has it.
RATE_PAGES_PER_USER = env_rate("RATE_PAGES_PER_USER", "1200/minute")
RATE_FILES_PER_USER = env_rate("RATE_FILES_PER_USER", "60/hour;20/minute")
RATE_DATA_PER_USER = "20/hour"
RATE_RESUME_PER_USER = "60/hour"
RATE_EMAIL_PER_USER = "10/hour"
RATE_RESET_PER_ADDRESS = env_rate("RATE_RESET_PER_ADDRESS", "30/10minute")
RATE_RESET_PER_USER = "1/minute;5/day"  # links that set a new password
RATE_VERIFY_PER_ADDRESS = "1/minute"  # links to one that is to be verified, of one user
RATE_VERIFY_PER_USER = "10/day"  # the same to all that they give
RATE_LOGIN_FAILURES_NOTED = "1/10minute"  # of one user, in the audit, each kind for itself
# API keys that nobody has. Right ones from the same address work on.
RATE_UNKNOWN_KEYS_PER_ADDRESS = env_rate("RATE_UNKNOWN_KEYS_PER_ADDRESS", "30/minute")
RATE_KEY_REFUSALS_NOTED = "1/10minute"  # of one key, in the audit
RATE_FALLBACK_SHARE = Decimal("0.5")  # of each rate, counted per process, while Redis is away

# ── browsers: cookies, headers, CSP ─────────────────────────────────────────
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_ENGINE = "accounts.session_store"
SESSION_COOKIE_AGE = 7 * 24 * 3600  # seconds from the log-in, however busy its person is
# Without a sign of its person a session ends: of who has a live account, and of all others.
SESSION_IDLE_LIVE = timedelta(minutes=env_int("SESSION_IDLE_LIVE_MINUTES", 30, low=1))
SESSION_IDLE = timedelta(minutes=env_int("SESSION_IDLE_MINUTES", 12 * 60, low=1))
SESSION_SEEN_NOTED = timedelta(minutes=1)  # so often, at most, such a sign is written down
CSRF_COOKIE_SAMESITE = "Lax"
TRUST_COOKIE_NAME = "trusted"
SEEN_COOKIE_NAME = "browser"
RESET_COOKIE_NAME = "reset"
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "speedtrade.views.csrf_failure"
# Forms come from our own pages alone; ALLOWED_ORIGINS is for the API.
CSRF_TRUSTED_ORIGINS: list[str] = []
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SECURE_REDIRECT_EXEMPT = [r"^health(/live|/ready)?$", r"^metrics$"]  # asked over plain HTTP, within
PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
if PRODUCTION:
    SESSION_COOKIE_NAME = "__Host-sessionid"
    CSRF_COOKIE_NAME = "__Host-csrftoken"
    TRUST_COOKIE_NAME = "__Host-trusted"
    SEEN_COOKIE_NAME = "__Host-browser"
    RESET_COOKIE_NAME = "__Host-reset"
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_SSL_REDIRECT = env_bool("SECURE_SSL_REDIRECT", True)
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    if TRUSTED_PROXIES:
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "worker-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "object-src": [NONE],
        "frame-ancestors": [NONE],
    }
}
CORS_ALLOWED_ORIGINS = ALLOWED_ORIGINS
CORS_URLS_REGEX = r"^/api/.*$"
CORS_ALLOW_CREDENTIALS = False  # scripts send a bearer token; cookies never cross origins
CORS_ALLOW_HEADERS = ["accept", "authorization", "content-type", "idempotency-key", "x-request-id"]
CORS_EXPOSE_HEADERS = ["retry-after", "x-request-id", "idempotent-replayed"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024  # no door takes files; an order is under one kilobyte
WEB_REFUSED_FOR = timedelta(seconds=2)  # for the answer to one that sends more, unread, to arrive
DATA_UPLOAD_MAX_NUMBER_FIELDS = 250  # the admin sends one field for each row that is ticked

# ── mail ────────────────────────────────────────────────────────────────────
EMAIL_HOST = env_str("EMAIL_HOST", "")  # unset: this house sends no mail, and speaks of none
EMAIL_PORT = env_port("EMAIL_PORT", 587)
EMAIL_HOST_USER = env_str("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env_str("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_SSL = env_bool("EMAIL_USE_SSL", False)  # from the first byte, as on port 465
EMAIL_USE_TLS = env_bool("EMAIL_USE_TLS", not EMAIL_USE_SSL)  # by STARTTLS
EMAIL_TIMEOUT = 10  # seconds
DEFAULT_FROM_EMAIL = env_str("EMAIL_FROM", "")
# Where people find this house: links in mail begin with it.
_HTTP, _WS = ("http", "https"), ("ws", "wss")
_FIRST_HOST = next((host for host in ALLOWED_HOSTS if not host.startswith(".")), "")
SITE_URL = env_url(
    "SITE_URL",
    f"https://{_FIRST_HOST}" if PRODUCTION and _FIRST_HOST else f"http://localhost:{PORT}",
    _HTTP,
)
if EMAIL_HOST and PRODUCTION and not SITE_URL.startswith("https://"):
    raise BadSetting("SITE_URL must begin with https://, such as https://trade.example.com.")
if EMAIL_USE_SSL and EMAIL_USE_TLS:
    raise BadSetting("EMAIL_USE_SSL and EMAIL_USE_TLS exclude each other: choose one.")
if EMAIL_HOST and not DEFAULT_FROM_EMAIL:
    raise BadSetting("EMAIL_FROM must name the address that mail of this house comes from.")
VERIFY_LINK_AGE = timedelta(hours=24)
RESET_LINK_AGE = timedelta(hours=1)
LETTERS_PERIOD = timedelta(minutes=1)  # so often it is looked what was not sent
LETTERS_BATCH = 20  # of one look
LETTER_RETRY = timedelta(minutes=1)  # after a failure, and twice as long after each more
LETTER_TRIES = 9  # within about eight hours, then it is given up
LETTERS_LATE = timedelta(minutes=15)  # one that waits so long is told by the doctor
LETTERS_KEPT = timedelta(days=30)  # what was sent or given up

# ── static files ────────────────────────────────────────────────────────────
STATIC_URL = "/static/"
STATIC_ROOT = env_str("STATIC_ROOT", str(DATA_DIR / "static"))
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "speedtrade.lib.joined.JoinedFinder",
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
]
# file -> (its parts in order, the file of the same page that brings shared modules)
STATIC_JOINED: dict[str, tuple[list[str], str]] = {
    "css/app.css": (["tokens.css", "base.css", "layout.css", "components.css", "pages.css"], ""),
    "js/guest.js": (["ui.js", "answers.js", "door.js"], ""),
    "js/app.js": (
        [
            "ui.js",
            "answers.js",
            "parts.js",
            "calm.js",
            "quotes.js",
            "title.js",
            "orders.js",
            "alerts.js",
            "ticket.js",
            "hold.js",
            "pulse.js",
            "watchlist.js",
            "panel.js",
            "standing.js",
            "keys.js",
        ],
        "",
    ),
    "js/passkeys.js": (["passkey.js"], ""),
    "js/price-chart.js": (["chart.js"], "js/app.js"),
    "js/equity-chart.js": (["portfolio-chart.js"], "js/app.js"),
}
STATIC_JOINED_ROOT = str(DATA_DIR / "joined")
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_AUTOREFRESH = DEBUG or TESTING  # or each test client reads every static file
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# ── API ─────────────────────────────────────────────────────────────────────
API_PAGE_SIZE = 50
API_PAGE_SIZE_MAX = 500
API_LOG = env_bool("API_LOG", True)  # whether a user sees the newest API requests of their own
API_LOG_SHOWN = 100  # of one user
API_LOG_KEPT = timedelta(days=7)  # after the newest one
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.KeyAuthentication",
        "accounts.authentication.TokenAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["speedtrade.lib.api.StrictJSONParser"],
    "DEFAULT_THROTTLE_CLASSES": ["speedtrade.lib.ratelimit.ApiThrottle"],
    "DEFAULT_SCHEMA_CLASS": "speedtrade.lib.door_schema.DoorSchema",
    "EXCEPTION_HANDLER": "speedtrade.lib.api.problem_handler",
    "COERCE_DECIMAL_TO_STRING": True,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "SpeedTrade API",
    "VERSION": "1",
    "DESCRIPTION": "Trade stocks and crypto, on paper or for real. Numbers are exact strings.",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    # By default the page sends the document's address to a validator of its makers.
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "ENUM_NAME_OVERRIDES": {  # three fields have the name "direction"
        "AlertDirection": ["above", "below"],
        "MoversDirection": ["gainers", "losers"],
        "TransferDirection": "portfolio.models.Direction",
    },
}

# ── market data ─────────────────────────────────────────────────────────────
MARKET_DATA_FEEDS = env_list("MARKET_DATA_FEEDS", "simulated")
SIMULATED_MARKET_SEED = env_str("SIMULATED_MARKET_SEED", "speedtrade")
SIMULATED_MARKET_HOURS = env_choice("SIMULATED_MARKET_HOURS", "always", ("always", "nyse"))
QUOTE_STALE_AFTER = timedelta(seconds=env_int("QUOTE_STALE_SECONDS", 5, low=1))
QUOTE_FUTURE_SKEW = timedelta(seconds=2)
WATCHED_FOR = timedelta(seconds=10)  # a symbol stays watched so long after the last interest
FEED_TICK_WATCHED = timedelta(milliseconds=250)
FEED_TICK_IDLE = timedelta(seconds=2)
WS_FLUSH_PERIOD = timedelta(milliseconds=100)
WS_FLUSH_LONGEST = timedelta(milliseconds=250)  # where others want the processor, too
WS_COHORTS = 20
WS_MAX_SYMBOLS = 200  # subscriptions of one socket
WS_MAX_MESSAGE = 16 * 1024  # bytes a client may send at once
WS_MESSAGES_PER_SECOND = 20
WS_UNREAD_MOST = 200  # messages that wait while the socket waits for its client
WS_MAX_PER_USER = 100  # in one web process
WS_SILENCE = timedelta(seconds=90)  # a browser that says nothing for so long is closed
WS_SLOW_AFTER = timedelta(seconds=10)  # one message takes longer: its client is closed
WS_LIFETIME = timedelta(hours=12)  # then the client connects anew
WS_RECHECK = timedelta(seconds=5)  # a socket asks so often whether its user may still be here
BARS_LIMIT = 1000
BARS_LIMIT_DEFAULT = 300
BOOK_LEVELS = 10  # of each side on a page
CHART_ORDERS, CHART_FILLS = 20, 100  # of one account, drawn on a chart
CHART_ALERTS = 20  # of one user in one symbol, drawn on a chart
BARS_TABLE_ROWS = 100  # the newest so many of a range, as a table
# How long a process believes what a year of daily bars said about a symbol.
YEAR_CACHE = timedelta(0) if TESTING else timedelta(minutes=5)
# Bars of vendors are stored: so far back, per timeframe; older ones are thinned out.
BARS_KEPT = {
    "1m": timedelta(days=7),
    "5m": timedelta(days=30),
    "15m": timedelta(days=90),
    "1h": timedelta(days=400),
    "1D": timedelta(days=3660),
}
BARS_ROWS_MAX = 5_000_000  # beyond it the series that nobody asked for longest go
BARS_UNASKED = timedelta(days=30)  # a series that nobody asked for so long goes
BARS_FRESH = timedelta(
    seconds=10
)  # a series that ends at the present is asked for again after so long
BARS_WAIT = timedelta(seconds=2)  # a page waits so long for missing bars
BARS_ASK_AGAIN = timedelta(seconds=15)  # a question without an answer is asked again after so long
BARS_THIN_PERIOD = timedelta(hours=1)
QUOTES_LIMIT = 100  # symbols in one request
SEARCH_LIMIT = 20
MOVERS_LIMIT = 10
WATCHLIST_LIMIT = 100  # symbols in one list
WATCHLISTS_LIMIT = 20  # lists of one user
WATCHLIST_IMPORT_LIMIT = 500  # words in one import
ALERTS_LIMIT = 50  # price alerts of one user, whatever their state
ALERTS_LOG = 20  # the newest firings on the page of alerts
ALERTS_RELOAD = timedelta(seconds=5)  # so often the feed reads all alerts, changed or not
ALERTS_LOOK = timedelta(milliseconds=500)  # so often it asks whether one has changed
ALERT_QUIET = timedelta(minutes=1)  # between two firings of an alert that fires every time
MARKETS_PAGE_SIZE = 50
WATCHLIST_DEFAULT = ["AAPL", "MSFT", "NVDA", "SPY", "BTC/USD", "ETH/USD"]  # of a new user
# How long a process believes what it read about an instrument, a halt included. Tests roll back
# and must not remember.
INSTRUMENT_CACHE = timedelta(0) if TESTING else timedelta(seconds=2)
INSTRUMENTS_RELOAD = timedelta(seconds=30)  # so often the feed looks for new instruments
QUOTE_GATE_MEMORY = timedelta(minutes=10)  # an older quote says nothing about a jump

# ── trading ─────────────────────────────────────────────────────────────────
PAPER_OPENING_CASH = env_decimal("PAPER_OPENING_CASH", "100000")
TRANSFER_MAX = env_decimal("TRANSFER_MAX", "1000000")
STOCK_FEE_RATE = env_decimal("STOCK_FEE_RATE", "0")
CRYPTO_FEE_RATE = env_decimal("CRYPTO_FEE_RATE", "0.001")
RISK_MAX_ORDER_NOTIONAL = env_decimal("RISK_MAX_ORDER_NOTIONAL", "1000000")
RISK_MAX_DAY_NOTIONAL = env_decimal("RISK_MAX_DAY_NOTIONAL", "10000000")
RISK_MAX_OPEN_ORDERS = env_int("RISK_MAX_OPEN_ORDERS", 500, low=1)
RISK_MAX_POSITION_NOTIONAL = env_decimal("RISK_MAX_POSITION_NOTIONAL", "5000000")
RISK_COLLAR_WARN = Decimal("0.10")  # a limit so far beyond the quote is a question on the page
RISK_COLLAR_DENY = Decimal("0.20")  # and so far beyond it is refused
RISK_MARKET_BAND = Decimal("0.05")  # a market order never pays more than this over the quote
# A live order worth this or more is confirmed by a held button, unless its owner says otherwise.
HOLD_TO_CONFIRM_FROM = env_decimal("HOLD_TO_CONFIRM_FROM", "2500")
SMALL_ORDER_MOST = Decimal("10000")  # what a user may choose to place without a review, at most
RISK_DUPLICATE_WINDOW = timedelta(seconds=5)
REVIEW_LIFETIME = timedelta(seconds=60)  # older, a review is shown again at the new price
REVIEW_PRICE_DRIFT = Decimal("0.005")  # and so is one whose price has moved by more than this
REVIEW_CLIENT_LIFETIME = timedelta(hours=12)  # older still, it is forgotten: the ticket starts anew
PAGE_SIZE = 50  # orders, activity
ORDER_FILLS_SHOWN = 50  # newest fills on an order's page; the export of activity has all of them
ORDER_EVENTS_SHOWN = 200
ORDER_ANSWER_EXPECTED = timedelta(seconds=5)  # later than this the page says that it is checked
CONCENTRATION_WARN = Decimal("0.25")  # a purchase that makes one symbol more of the account than so
PAGE_FRESH = timedelta(seconds=60)  # without JavaScript a young open order reloads itself so long
STATEMENT_PAGE_SIZE = 200  # bookings of a statement, lines of a tax report
LOTS_SHOWN = 20  # of one holding, on one page
HOLDINGS_SHOWN = 50  # on one page of the portfolio
POSITIONS_SHOWN = 10  # on the dashboard, the most valuable
BENCHMARK = "SPY"  # what a portfolio is compared with
RISK_WINDOW = timedelta(days=365)  # of daily returns, for volatility and beta
# The guard halts trading where more is sent than was placed, or more than anybody can have placed.
GUARD_SENDS_PER_SECOND = env_int("GUARD_SENDS_PER_SECOND", 0, low=0)  # of one account; 0: as below
GUARD_SENDS_PER_DAY = env_int("GUARD_SENDS_PER_DAY", 0, low=0)  # 0: from RATE_ORDERS_PER_USER
GUARD_SENDS_ALL = env_int("GUARD_SENDS_ALL", 2000, low=1)  # in one second, of everybody
GTC_LIFETIME = timedelta(days=90)
SUBMIT_WAKE_AFTER = timedelta(seconds=2)  # a claimed-by-nobody submission older than this is woken
SUBMIT_UNKNOWN_AFTER = timedelta(seconds=5)  # sent so long ago with no answer: ask the broker
SUBMIT_LOOKUPS = 5  # misses, over at least SUBMIT_LOST_AFTER, before an order counts as lost
SUBMIT_LOST_AFTER = timedelta(seconds=30)
SWEEP_PERIOD = timedelta(seconds=5)
POLL_PERIOD = timedelta(seconds=5)
SNAPSHOT_PERIOD = timedelta(seconds=60)
LEDGER_CHECK_PERIOD = timedelta(minutes=15)
# It reads all of the books: 10 s for 100,000 orders. Its limits end it before the next one begins.
LEDGER_CHECK_SOFT_LIMIT, LEDGER_CHECK_LIMIT = timedelta(minutes=13), timedelta(minutes=14)
TIDY_PERIOD = timedelta(days=1)
PORTFOLIO_PUSH_PERIOD = timedelta(seconds=1)
LATER_INLINE = TESTING  # background wake-ups run at once where a test looks at them
HEALTH_WORKER_AGE = timedelta(seconds=30)
HEALTH_FEED_AGE = timedelta(seconds=15)
HEALTH_TIMEOUT = timedelta(seconds=2)
# So long after its start a web process waits for the first sign of the others before it calls that
# ill: who polls /health until it says 200 finds a house that works.
HEALTH_STARTING = timedelta(0) if TESTING else timedelta(seconds=60)

# ── brokers and their market data ───────────────────────────────────────────
# Vendor addresses; moved for tests and for proxies.
ALPACA_TRADING_URL = env_url("ALPACA_TRADING_URL", "https://paper-api.alpaca.markets", _HTTP)
ALPACA_LIVE_TRADING_URL = env_url("ALPACA_LIVE_TRADING_URL", "https://api.alpaca.markets", _HTTP)
ALPACA_STREAM_URL = env_url("ALPACA_STREAM_URL", "wss://paper-api.alpaca.markets/stream", _WS)
ALPACA_LIVE_STREAM_URL = env_url("ALPACA_LIVE_STREAM_URL", "wss://api.alpaca.markets/stream", _WS)
ALPACA_DATA_URL = env_url("ALPACA_DATA_URL", "https://data.alpaca.markets", _HTTP)
ALPACA_DATA_STREAM_URL = env_url(
    "ALPACA_DATA_STREAM_URL", "wss://stream.data.alpaca.markets/v2/iex", _WS
)
# Exchange id -> the value of that exchange's urls["api"]; its streams are at the same host, unless
# that value names them under "ws".
CCXT_URLS = env_addresses("CCXT_URLS")
# Exchanges that can be connected: those that trading.brokers.capabilities knows and that keep their
# accounts in FEED_CURRENCY, a test compares. In another currency nothing listed here can be traded.
CCXT_EXCHANGES = ["kraken", "coinbase"]
CCXT_TEST_MARKETS = ["binance"]  # with a market of their own for tests
BROKER_ACCOUNTS_MAX = 20  # connected ones of one user
LIVE_DAY_CAP = env_decimal("LIVE_DAY_CAP", "10000")  # of a new live account; its owner changes it
# Keys for Alpaca's market data alone; orders use the keys that users connect.
ALPACA_DATA_KEY = env_str("ALPACA_DATA_KEY", "")
ALPACA_DATA_SECRET = env_str("ALPACA_DATA_SECRET", "")
ALPACA_STREAM_SYMBOLS = 30  # of one connection, on the free plan
ALPACA_CALLS_PER_MINUTE = 180  # of 200 on the free plan
ALPACA_CANARY = "SPY"  # always streamed: in market hours it is never silent, so silence is a fault
FEED_MUTE_AFTER = timedelta(seconds=10)  # without a frame in market hours the stream connects anew
FEED_CONNECT_LIMIT = timedelta(seconds=10)  # from dialling to being let in
FEED_TURN_MAX = 250  # symbols of one feed that take their turn in one window
CCXT_POLL = timedelta(seconds=1)  # so often the prices of a CCXT exchange are asked for, at most
CCXT_STREAM_SYMBOLS = 30  # of one connection; what else is watched is asked for
FEED_CURRENCY = "USD"  # what accounts are kept in; markets in another currency are not listed
LISTINGS_PERIOD = timedelta(hours=1)  # so often venues are asked what they list
LISTINGS_RETRY = timedelta(minutes=1)  # and so soon again when one did not answer
BROKER_TIMEOUT = (3.05, 10.0)  # seconds to connect, seconds to answer
GATE_FAILURES = 5  # failures in a row close the gate of an account
GATE_PROBE_PERIOD = timedelta(seconds=15)  # then one call passes in so long
LINK_TICK = timedelta(seconds=5)  # so often it is looked which accounts are due
ORDERS_SYNC_PERIOD = timedelta(seconds=15)
# At the next list of orders from then on, so after 45 seconds. A period of 45 would often miss that
# list by a moment, and a difference would be seen after more than a minute.
HOLDINGS_SYNC_PERIOD = timedelta(seconds=40)
LINK_RETRY_PERIOD = timedelta(seconds=60)  # for an account in error, such as a refused key
SYNC_OVERLAP = timedelta(minutes=1)  # orders are listed from so long before what we know
EVENTS_LATE = timedelta(days=3)  # deposits and fees may be entered later than they are dated
EVENTS_OVERLAP = timedelta(hours=1)  # where each has its moment; trades stand in that list as well
LATE_FILLS_FOR = timedelta(days=1)  # orders that ended since then are looked at where books differ
# So far off may a broker's clock be. It must stay well below SYNC_OVERLAP: orders are listed by it.
BROKER_CLOCK_MOST = timedelta(seconds=30)
BROKER_CLOCK_PERIOD = timedelta(minutes=10)  # so often is it looked at while an account trades
BLIND_AFTER = timedelta(seconds=60)  # so long without a word from the broker: no new orders
CONNECT_PATIENCE = timedelta(seconds=25)  # a new account that is silent so long is in error
FILLS_MISSING_AFTER = timedelta(seconds=20)  # then what filled without a fill is made up
DIFFERENCE_CONFIRMED = 2  # sightings, before a difference is shown and alarms
CASH_TOLERANCE = Decimal("0.01")  # brokers round cash to cents
SUBMIT_FRESH = timedelta(minutes=2)  # an order that could not be sent for so long is given up
CANCEL_TRIES = 5  # refusals of a cancel before the order counts as working again
KEY_CHECK_WAIT = timedelta(seconds=12)  # a page waits so long for what a key may do
LOST_AFTER = timedelta(hours=24)  # a lost order that stays unknown so long is given up
BROKER_PAGES_MAX = 50  # of one list: a vendor whose pages never end is broken
BROKER_LOOKUPS_MAX = 20  # orders that one poll asks for one by one
BROKER_STREAM_PING = timedelta(seconds=10)  # and so long for the answer, else the line is dead
BROKER_STREAM_QUIET = timedelta(minutes=5)  # no word for so long: compare, just in case
BROKER_STREAM_BACKOFF = (1.0, 30.0)  # seconds before the first reconnect, and at most
CCXT_LEASE_WAIT = timedelta(seconds=15)  # for a key that another call holds, or its pace
CCXT_MARKETS_AGE = timedelta(hours=1)  # the venue's rules are read again after so long
CCXT_MARKETS_RETRY = timedelta(minutes=1)  # and so soon again where that went wrong
CCXT_PACE = 1  # times what each exchange allows per key; more only where somebody pays for it

# ── backups ─────────────────────────────────────────────────────────────────
BACKUP_DIR = Path(env_str("BACKUP_DIR", str(DATA_DIR / "backups"))).resolve()
BACKUP_AGE = timedelta(hours=26)  # older, the last backup is an alarm: a day and a late start
BACKUP_LOOK_BACK = timedelta(days=60)

# ── support ─────────────────────────────────────────────────────────────────
ADMIN_ACTION_LIMIT = 200  # rows in one act, and on one page
ADMIN_QUERY_MAX = 2000  # characters of an address's query: the audit keeps all of it
VIEW_AS_ACCOUNTS = 5  # of one user, on one page
STUCK_AFTER = timedelta(seconds=60)  # an order without an answer for so long needs a person
SUPPORT_APPS = ["accounts", "marketdata", "portfolio", "trading"]  # support sees every row of these
SUPPORT_ACTS = [  # and does what these allow; each asks for a reason
    "accounts.change_apikey",  # revoke
    "accounts.change_brokerageaccount",  # freeze, unfreeze
    "accounts.change_tokenfamily",  # revoke
    "accounts.change_user",  # deactivate, reactivate
    "marketdata.change_instrument",  # halt, resume
    "portfolio.add_ledgercheck",  # run the check
    "trading.add_tradinghalt",  # the kill switch
    "trading.change_brokerlink",  # read at the broker now
    "trading.change_difference",  # accept what the broker says
    "trading.change_parkedtask",  # try it again
    "trading.change_order",  # cancel, give up a lost one
    "trading.change_tradinghalt",  # and back
]
SUPPORT_VIEW_AS = [  # who looks at an account as its owner does needs all of these
    "accounts.view_user",
    "accounts.view_brokerageaccount",
    "portfolio.view_position",
    "portfolio.view_journalentry",
    "portfolio.view_ledgeraccount",
    "trading.view_order",
]

# ── logs ────────────────────────────────────────────────────────────────────
LOG_LEVEL = env_choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
METRICS_TOKEN = env_str("METRICS_TOKEN", "")  # unset: /metrics is for staff alone
if PRODUCTION and METRICS_TOKEN and len(METRICS_TOKEN) < 32:
    raise BadSetting("METRICS_TOKEN must have at least 32 characters, or be unset.")
METRICS_KEPT = timedelta(seconds=5)  # figures of the house are read so often at most
SENTRY_DSN = env_str("SENTRY_DSN", "")
DJANGO_STRUCTLOG_CELERY_ENABLED = True
DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = True  # the floor chose or checked it
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False  # addresses are personal data
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = logging.DEBUG  # one line a request, when it has ended

if SENTRY_DSN:
    from speedtrade.reports import reports_begin

    with understood("SENTRY_DSN must be the address that Sentry shows: https://key@host/number."):
        reports_begin(SENTRY_DSN, environment=ENVIRONMENT)

if TESTING:
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *PASSWORD_HASHERS]
    CELERY_TASK_ALWAYS_EAGER = False

from speedtrade.logging import configure_logging  # noqa: E402 - needs the values above

LOGGING = configure_logging(json_lines=PRODUCTION, level=LOG_LEVEL)
