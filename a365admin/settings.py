"""Settings, read from the environment; each is checked at start with a sentence that says what to set.

Kinds of installation (``A365_ENV``):

* ``embedded`` (default): one machine, started by ``manage.py up``; SQLite; broker, secret key, password made for you;
* ``production``: everything is stated in the environment; see ``docs/install.md``;
* ``test``: what the test suite uses.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured
from environs import Env, EnvError

from pools.doubt import parse_reference_targets
from pools.specs import TIMINGS
from pools.timing import Overrides, problem_of

env = Env()
ROOT = Path(__file__).resolve().parent.parent


def _setting_error(name: str, found: str, expected: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"{name}: found {found}, expected {expected}. Set {name} in the environment.")


A365_ENV = env.str("A365_ENV", "embedded")
if A365_ENV not in {"embedded", "production", "test"}:
    raise _setting_error("A365_ENV", repr(A365_ENV), "embedded, production or test")
PRODUCTION = A365_ENV == "production"
DEBUG = False

VAR = Path(env.str("A365_VAR", str(ROOT / "var"))).resolve()
if not PRODUCTION:
    VAR.mkdir(mode=0o750, parents=True, exist_ok=True)


def _secret_key() -> str:
    given = env.str("SECRET_KEY", "")
    if given:
        if PRODUCTION and len(given) < 50:
            raise _setting_error("SECRET_KEY", f"{len(given)} characters", "at least 50 random characters")
        return given
    if PRODUCTION:
        raise _setting_error("SECRET_KEY", "nothing", "at least 50 random characters")
    kept = VAR / "secret-key"
    if not kept.exists():
        fresh = VAR / f"secret-key.{os.getpid()}"
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(60))
        try:
            os.link(fresh, kept)  # two first starts at once: the first one's key stays
        except FileExistsError:
            pass
        fresh.unlink()
    return kept.read_text()


SECRET_KEY = _secret_key()

ALLOWED_HOSTS = env.list("A365_ALLOWED_HOSTS", [] if PRODUCTION else ["localhost", "127.0.0.1", "[::1]"])
if PRODUCTION and not ALLOWED_HOSTS:
    raise _setting_error("A365_ALLOWED_HOSTS", "nothing", "the names this site is opened by, comma-separated")
CSRF_TRUSTED_ORIGINS = [f"https://{host}" for host in ALLOWED_HOSTS if PRODUCTION and host != "*"]

INSTALLED_APPS = [
    "a365admin.apps.InstallationConfig",
    "a365admin.audit.apps.AuditConfig",
    "a365admin.accounts.apps.AccountsConfig",
    "pools.apps.PoolsConfig",
    "dnsops.apps.DnsopsConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "axes",
    "django_htmx",
    "template_partials",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "a365admin.middleware.content_security_policy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "a365admin.middleware.request_context",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "a365admin.urls"
WSGI_APPLICATION = "a365admin.wsgi.application"
ASGI_APPLICATION = "a365admin.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "a365admin.context.page_frame",
            ],
        },
    },
]


def _database() -> dict[str, object]:
    url = env.str("DATABASE_URL", "")
    if not url:
        if PRODUCTION:
            raise _setting_error("DATABASE_URL", "nothing", "postgres://user:password@host:5432/name")
        url = f"sqlite:///{VAR / 'a365admin.sqlite3'}"
    scheme = urlsplit(url).scheme
    if scheme not in {"postgres", "postgresql", "sqlite"}:
        raise _setting_error("DATABASE_URL", f"scheme {scheme!r}", "postgres:// or sqlite://")
    config: dict[str, object] = dict(dj_database_url.parse(url, conn_max_age=0 if scheme == "sqlite" else 60))
    if scheme == "sqlite":
        config["OPTIONS"] = {
            # IMMEDIATE: a writer waits for its turn at the start, instead of failing half-way ("database is locked").
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": (
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-16000; "
                "PRAGMA wal_autocheckpoint=10000;"  # the sweeper does it: a365admin/sqlite.py
            ),
        }
        config["CONN_MAX_AGE"] = None
        # The suite's threads share one database as processes do; in memory they would fail instead of waiting.
        config["TEST"] = {"NAME": str(VAR / "suite.sqlite3")}
    else:
        config["CONN_HEALTH_CHECKS"] = True
        # A host that is gone must not hold a page, a worker or a command in a terminal for minutes.
        options: dict[str, object] = {"connect_timeout": 5}
        config["OPTIONS"] = options | dict(config.get("OPTIONS") or {})  # type: ignore[call-overload]
    return config


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL", "" if PRODUCTION else "redis://127.0.0.1:6379/0")
if urlsplit(REDIS_URL).scheme not in {"redis", "rediss", "unix"}:
    raise _setting_error("REDIS_URL", repr(urlsplit(REDIS_URL).scheme or "nothing"), "redis://:password@host:6379/0")

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "accounts:sign-in"
LOGIN_REDIRECT_URL = "pools:overview"
LOGOUT_REDIRECT_URL = "accounts:sign-in"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_NAME = "a365_session"
CSRF_COOKIE_NAME = "a365_csrf"
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
AXES_DISABLE_ACCESS_LOG = True  # sign-ins are in our own audit log
AXES_LOCKOUT_CALLABLE = "a365admin.accounts.views.locked_out"
AXES_CLIENT_IP_CALLABLE = "a365admin.middleware.client_address"  # behind a proxy: the client's address, not the proxy's
# What the audit log's pages are wrapped in. Composed here, since audit is below accounts and may not import it.
AUDIT_GUARD = "a365admin.accounts.decorators.audit_guard"

X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
if PRODUCTION:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
# Behind how many of our own proxies we stand: that many entries from the right of X-Forwarded-For are believed.
TRUSTED_PROXIES = env.int("A365_TRUSTED_PROXIES", 1 if PRODUCTION else 0)

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
try:
    DEFAULT_USER_TIME_ZONE = env.str("A365_TIME_ZONE", "Europe/Amsterdam")
except EnvError as error:  # pragma: no cover
    raise ImproperlyConfigured(str(error)) from error

STATIC_URL = "static/"
STATICFILES_DIRS = [ROOT / "static"]
STATIC_ROOT = VAR / "static"
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

CELERY_BROKER_URL = REDIS_URL
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TRACK_STARTED = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_DB_REUSE_MAX = 1_000_000_000  # never closed for its own sake: a365admin/celery.py looks after connections
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # A killed worker's task is handed out again after this many seconds; no task of ours runs longer.
    "visibility_timeout": 60,
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    "socket_keepalive": True,
}
CELERY_TASK_DEFAULT_QUEUE = "operations"
CELERY_TASK_ROUTES = {"pools.tasks.probe_window": {"queue": "probes"}}
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
CELERY_IMPORTS = ["dnsops.watch_tasks"]
CELERY_BEAT_SCHEDULE = {
    # Both expire before the next one is due: after a pause nothing piles up.
    "schedule probe windows": {"task": "pools.tasks.schedule_windows", "schedule": 10.0, "options": {"expires": 10}},
    "add history up": {"task": "pools.tasks.add_history_up", "schedule": 60.0, "options": {"expires": 50}},
    "keep tickets warm": {"task": "dnsops.tasks.keep_tickets_warm", "schedule": 60.0, "options": {"expires": 60}},
    "look whether we could": {
        "task": "dnsops.watch_tasks.check_readiness",
        "schedule": 10.0,
        "options": {"expires": 10},
    },
    "watch DNS": {"task": "dnsops.watch_tasks.watch", "schedule": 1.0, "options": {"expires": 2}},
    # Everywhere: for what a pause or a lost message may have hidden.
    "look for drift everywhere": {
        "task": "dnsops.watch_tasks.look_for_drift",
        "schedule": 60.0,
        "args": [True],
        "options": {"expires": 60},
    },
    "sweep drills": {"task": "dnsops.drill_tasks.sweep_drills", "schedule": 5.0, "options": {"expires": 10}},
    "sweep operations": {"task": "dnsops.tasks.sweep_operations", "schedule": 5.0, "options": {"expires": 10}},
}
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR / "beat-schedule")
if env.str("A365_BEAT", "plain") == "redbeat":
    CELERY_BEAT_SCHEDULER = "redbeat.RedBeatScheduler"
    CELERY_REDBEAT_REDIS_URL = REDIS_URL
    CELERY_REDBEAT_LOCK_TIMEOUT = 10

LAB_CONFIG = Path(env.str("A365_LAB")) if env.str("A365_LAB", "") else None
if LAB_CONFIG:
    INSTALLED_APPS.append("a365admin.lab")

# The demo's patience is short: nobody should have to wait five minutes to see a failback.
DNSOPS = {
    "stability_s": env.float("A365_FAILBACK_STABILITY_S", 15.0 if LAB_CONFIG else 300.0),
    "cool_down_s": env.float("A365_COOL_DOWN_S", 60.0 if LAB_CONFIG else 300.0),
    "max_ttl_wait_s": env.float("A365_MAX_TTL_WAIT_S", 300.0),
    "by_hand_max_s": env.float("A365_BY_HAND_MAX_S", 1800.0),
    "drill_days": env.int("A365_DRILL_DAYS", 45),
    "readiness_interval_s": env.float("A365_READINESS_INTERVAL_S", 30.0 if LAB_CONFIG else 180.0),
}

# Break-glass (docs/failover.md): the sealed bundle, the key that seals it, the journal of what was done without us.
_breakglass = VAR / "breakglass"
BREAKGLASS = {
    "bundle": Path(env.str("A365_BREAKGLASS_BUNDLE", str(_breakglass / "bundle.json"))),
    "key": Path(env.str("A365_BREAKGLASS_KEY", str(_breakglass / "key"))),
    "journal": Path(env.str("A365_BREAKGLASS_JOURNAL", str(_breakglass / "journal.jsonl"))),
}

# Probing. ``shards``: as many workers as can share the checks; ``window_s``: how long a task probes before it hands
# over; ``ca_file``: trusted authorities (PEM) for the chains of the servers' certificates, "" for not checking chains.
_shards, _window_s, _ca_file = env.int("A365_SHARDS", 1), env.float("A365_WINDOW_S", 20.0), env.str("A365_CA_FILE", "")
if not 1 <= _shards <= 64:
    raise _setting_error("A365_SHARDS", str(_shards), "a number from 1 to 64")
if not 1 <= _window_s <= 45:
    raise _setting_error("A365_WINDOW_S", str(_window_s), "1 to 45 seconds: less than the visibility timeout")
if _ca_file and not Path(_ca_file).is_file():
    raise _setting_error("A365_CA_FILE", f"no file at {_ca_file}", "a PEM file of trusted authorities")
# For how many days history is kept, by grain: ``docs/install.md``.
_keep_days = {
    "minutes": env.int("A365_KEEP_MINUTES_DAYS", 7),
    "hours": env.int("A365_KEEP_HOURS_DAYS", 90),
    "days": env.int("A365_KEEP_DAYS_DAYS", 1100),
    "transitions": env.int("A365_KEEP_TRANSITIONS_DAYS", 400),
}
for _grain, _least in (("minutes", 1), ("hours", 31), ("days", 366), ("transitions", 7)):
    if _keep_days[_grain] < _least:
        raise _setting_error(f"A365_KEEP_{_grain.upper()}_DAYS", str(_keep_days[_grain]), f"{_least} days or more")
# Self-doubt: addresses that answer for as long as the prober itself is not cut off, and the share of servers that may
# fail at once before it doubts itself.
try:
    _references = parse_reference_targets(env.str("A365_REFERENCE_TARGETS", ""))
except ValueError as error:
    raise _setting_error(
        "A365_REFERENCE_TARGETS", str(error), "IP addresses with ports, such as 192.0.2.1:53"
    ) from error
_doubt_share = env.float("A365_DOUBT_SHARE", 0.8)
if not 0.2 <= _doubt_share < 1:
    raise _setting_error("A365_DOUBT_SHARE", str(_doubt_share), "0.2 to 0.99: the share of servers that fail at once")
# What is asked of the whole estate, where nothing else is stated for a pool or a server.
_checks = Overrides(
    ucc_interval_s=env.float("A365_UCC_INTERVAL_S", None),
    ucc_timeout_s=env.float("A365_UCC_TIMEOUT_S", None),
    web_interval_s=env.float("A365_WEB_INTERVAL_S", None),
    web_timeout_s=env.float("A365_WEB_TIMEOUT_S", None),
    rise=env.int("A365_RISE", None),
    fall=env.int("A365_FALL", None),
    path=env.str("A365_WEB_PATH", ""),
    expected_text=env.str("A365_EXPECTED_TEXT", ""),
)
_problem = problem_of(_checks, TIMINGS.__getitem__)
if _problem:
    raise _setting_error(f"A365_{_problem[0].upper()}", _problem[1], "a timeout that is shorter than the interval")
_warn_days, _alarm_days = env.int("A365_CERTIFICATE_WARN_DAYS", 30), env.int("A365_CERTIFICATE_ALARM_DAYS", 7)
if not 0 < _alarm_days <= _warn_days <= 365:
    raise _setting_error(
        "A365_CERTIFICATE_ALARM_DAYS", f"{_alarm_days}, with a warning at {_warn_days}", "1 to the warning's days"
    )
POOLS: dict[str, Any] = {
    "checks": _checks,
    "shards": _shards,
    "window_s": _window_s,
    "ca_file": _ca_file,
    "keep_days": _keep_days,
    "certificate_warn_days": _warn_days,
    "certificate_alarm_days": _alarm_days,
    # The connects to UCC ports are never completed: cheaper, and no accept() of theirs sees them; see docs/install.md.
    "half_open": env.bool("A365_HALF_OPEN", False),
    "references": _references,
    "doubt_share": _doubt_share,
}

# The paths of the services that a Web Wallboard is told; a dedicated hostname may have paths of its own.
CLIENT_PATHS = {
    "attendant": env.str("A365_ATTENDANT_PATH", "/Attendant"),
    "dashboard": env.str("A365_DASHBOARD_PATH", "/DashboardService"),
}
for _name, _path in CLIENT_PATHS.items():
    if not _path.startswith("/") or any(char.isspace() or char in "?#" for char in _path):
        raise _setting_error(f"A365_{_name.upper()}_PATH", _path, "a path that begins with “/”, such as /Attendant")

# Who says what has to be checked. Composed here, so that pools need not know dnsops.
CHECK_SOURCES = ["pools.services.estate_checks", "dnsops.services.dns_checks"]
# Who is told, in the process that made it, that the estate has changed: () -> None; they never raise.
ESTATE_LISTENERS = ["dnsops.breakglass.keeping.refresh"]
# Who tells the estate's pages what is being switched, and by whom: () -> dict[hostname id, OperationNote].
OPERATIONS_SOURCE = "dnsops.pages.recent_operations"
# Who adds a remark to a hostname's line on the overview: () -> dict[hostname id, words].
REMARKS_SOURCE = "dnsops.remarks.remarks"
# Who tells when a hostname was switched: (hostname id, since) -> list[Switch].
SWITCHES_SOURCE = "dnsops.timeline.switches_of"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.str("A365_LOG_LEVEL", "INFO").upper()},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "celery": {"level": "WARNING"},
        "axes": {"level": "WARNING"},
    },
}
if "pytest" in sys.modules:
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
