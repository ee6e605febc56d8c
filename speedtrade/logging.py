"""Logs: JSON lines in production, readable lines elsewhere, a request id in both."""

import re
from typing import Any

import structlog

SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


#: Both renderers would print the variables of every frame, and a frame may hold a password.
_traceback = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


#: An API key, wherever it stands in a line that is ready: its beginning is enough to find it.
_KEY = re.compile(r"(stk_[a-z0-9]{8})[A-Za-z0-9_-]{8,}")
#: The address of a link that sets a new password is the secret itself, and requests are logged.
_RESET = re.compile(r"(/login/reset/)[^\s\"'?]+")


#: Whose words at DEBUG are known. Others may write anything there, and do: `websockets` each frame,
#: with the key that opens a stream, `ccxt` the headers and `urllib3` the addresses of signed calls.
_OURS = (
    *("speedtrade", "accounts", "marketdata", "portfolio", "trading"),
    *("django", "django_structlog", "celery"),
)


def redact(logger: Any, name: str, line: str) -> str:
    """The last step of every line: nobody puts a key into a log, so whoever does is corrected."""
    return _RESET.sub(r"\1…", _KEY.sub(r"\1…", line))


def configure_logging(*, json_lines: bool, level: str) -> dict[str, Any]:
    """Set up structlog and return Django's LOGGING; the worker and beat use the same one."""
    structlog.configure(
        processors=[
            *SHARED,
            structlog.stdlib.filter_by_level,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    last: Any = structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )
    if json_lines:
        last = structlog.processors.JSONRenderer()
    before = [_traceback] if json_lines else []
    ours: dict[str, Any] = {}
    if level == "DEBUG":  # of the house; what the packages say stays at INFO
        ours, level = {name: {"level": level} for name in _OURS}, "INFO"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "house": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    *before,
                    last,
                    redact,
                ],
                "foreign_pre_chain": SHARED,
            }
        },
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "house"}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            **ours,
            "django.request": {"level": "ERROR"},  # django_structlog writes one line each
            "django.channels.server": {"level": "WARNING"},
            "daphne": {"level": "WARNING"},
            # django_structlog writes these too, with the request id; each duty of the beat is five
            # lines every five seconds, which a person at a console does not want.
            "celery.beat": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
            "django_structlog.celery.receivers": {"level": level if json_lines else "WARNING"},
        },
    }
