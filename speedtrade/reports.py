"""Reports of errors to Sentry, where SENTRY_DSN is set; nothing of this is imported otherwise.

A report says where it broke and nothing of whom: what leaves is copied field by field from a list,
so that what a later version of the library adds stays here. The words of an error are left out as
well, because they may quote an amount or a key.
"""

import re
from typing import Any

import sentry_sdk
import structlog

from speedtrade.datafolder import project_version

_WORD = re.compile(r"[a-z0-9_.]{1,80}")  # the name of an event of our logs
_WHOLE = ("event_id", "timestamp", "level", "platform", "release", "environment")
_FRAME = (
    *("filename", "function", "module", "lineno", "in_app"),
    *("pre_context", "context_line", "post_context"),  # lines of our code
)


def reports_begin(dsn: str, *, environment: str) -> None:
    """Report every error that nobody caught, and every line of the log that is an error."""
    sentry_sdk.init(
        dsn=dsn,
        environment=environment,
        release=project_version(),
        before_send=before_send,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        auto_session_tracking=False,
        traces_sample_rate=None,
    )


def before_send(event: Any, hint: Any) -> Any:
    """The report that may leave: kinds of errors, places in the code, the request id."""
    kept = {name: event[name] for name in _WHOLE if name in event}
    context = structlog.contextvars.get_contextvars()
    known = [name for name in ("request_id", "task_id") if name in context]
    names: dict[str, str] = {name: str(context[name]) for name in known}
    route = str(event.get("transaction", ""))
    if _WORD.fullmatch(route):
        names["route"] = route
    kept["tags"] = names
    logger = str(event.get("logger", ""))
    if _WORD.fullmatch(logger):
        kept["logger"] = logger
    word = _event_word(event.get("logentry"))
    if word:
        kept["logentry"] = {"message": word}
    errors = (event.get("exception") or {}).get("values") or []
    if errors:
        kept["exception"] = {"values": [_error(error) for error in errors]}
    return kept


def _event_word(entry: Any) -> str:
    """The name of the event in a line of the log; nothing for any other text."""
    said = (entry or {}).get("message", "")
    # structlog hands its whole line over as a dict, of which Sentry makes a text.
    found = re.search(r"'event': '([a-z0-9_.]{1,80})'", str(said))
    word = found[1] if found else str(said)
    return word if _WORD.fullmatch(word) else ""


def _error(error: Any) -> dict[str, Any]:
    frames = (error.get("stacktrace") or {}).get("frames") or []
    shown = [{name: frame[name] for name in _FRAME if name in frame} for frame in frames]
    kind = {name: error[name] for name in ("type", "module") if error.get(name)}
    return {**kind, "value": "(left out)", "stacktrace": {"frames": shown}}
