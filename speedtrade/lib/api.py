"""The JSON door's manners: strict parsing, RFC 9457 problems, cursor pages."""

import json
import logging
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from redis.exceptions import RedisError
from rest_framework import exceptions, status
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import JSONParser
from rest_framework.response import Response
from rest_framework.views import set_rollback

from speedtrade.lib.errors import CATALOGUE, DomainError, FieldError, InvalidInput, title_of

logger = logging.getLogger(__name__)
PROBLEM_JSON = "application/problem+json"

_BY_EXCEPTION: list[tuple[type[Exception], str]] = [
    (exceptions.NotAuthenticated, "not_authenticated"),
    (exceptions.AuthenticationFailed, "invalid_token"),
    (exceptions.PermissionDenied, "permission_denied"),
    (PermissionDenied, "permission_denied"),
    (exceptions.NotFound, "not_found"),
    (Http404, "not_found"),
    (exceptions.MethodNotAllowed, "method_not_allowed"),
    (exceptions.UnsupportedMediaType, "unsupported_media_type"),
    (exceptions.NotAcceptable, "invalid"),
    (exceptions.Throttled, "rate_limited"),
]


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number")


class StrictJSONParser(JSONParser):
    """JSON objects only: no NaN, no Infinity, no list or text on top, no deep nesting."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> dict[str, Any]:
        raw = stream.read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
        if len(raw) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise DomainError(code="too_large", status=413)
        if not raw.strip():
            return {}
        try:
            body = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise InvalidInput("The body is not valid JSON.") from error
        if not isinstance(body, dict):
            raise InvalidInput("The body must be a JSON object.")
        return body


def problem(
    *, status_code: int, code: str, detail: str, errors: list[dict[str, str]] | None = None, request_id: str = ""
) -> dict[str, Any]:
    """The one error shape of the API (RFC 9457); `type` is a page of ours that says what to do."""
    return {
        "type": f"/problems/{code.replace('_', '-')}",
        "title": title_of(code),
        "status": status_code,
        "detail": detail,
        "code": code,
        "errors": errors or [],
        "request_id": request_id,
    }


def problem_response(request: HttpRequest, error: DomainError) -> JsonResponse:
    """A problem outside DRF (URL not found, CSRF, a fault in middleware)."""
    body = problem(
        status_code=error.status,
        code=error.code,
        detail=error.detail,
        request_id=request.META.get("HTTP_X_REQUEST_ID", ""),
    )
    return JsonResponse(body, status=error.status, content_type=PROBLEM_JSON)


def problem_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: every failure leaves as one problem; the transaction rolls back."""
    request = context["request"]
    code, status_code, detail, fields, headers = _describe(error)
    if status_code >= 500:
        logger.error("api_failed", exc_info=error)
    set_rollback()
    body = problem(
        status_code=status_code,
        code=code,
        detail=detail,
        errors=fields,
        request_id=request.META.get("HTTP_X_REQUEST_ID", ""),
    )
    return Response(body, status=status_code, headers=headers, content_type=PROBLEM_JSON)


def _describe(error: Exception) -> tuple[str, int, str, list[dict[str, str]], dict[str, str]]:
    """(code, status, detail, field errors, headers) of any exception."""
    headers: dict[str, str] = {}
    if isinstance(error, DomainError):
        if error.retry_after is not None:
            headers["Retry-After"] = str(error.retry_after)
        return error.code, error.status, error.detail, [_field(e) for e in error.errors], headers
    if isinstance(error, exceptions.ValidationError):
        fields = [_field(e) for e in flatten_errors(error.detail)]
        words = "; ".join(f"{f['field']}: {f['detail']}" if f["field"] else f["detail"] for f in fields)
        return "invalid", 400, words, fields, headers
    if isinstance(error, exceptions.ParseError):
        return "invalid", 400, "The body cannot be read.", [], headers
    if isinstance(error, OperationalError | RedisError):
        return "unavailable", 503, title_of("unavailable"), [], {"Retry-After": "2"}
    if isinstance(error, DatabaseError):
        return "server_error", 500, CATALOGUE["server_error"].remedy, [], headers
    for kind, code in _BY_EXCEPTION:
        if isinstance(error, kind):
            status_code = getattr(error, "status_code", 404 if code == "not_found" else 403)
            wait = getattr(error, "wait", None)
            if wait is not None:
                headers["Retry-After"] = str(max(1, round(wait)))
            if challenge := getattr(error, "auth_header", None):
                headers["WWW-Authenticate"] = challenge
            return code, status_code, CATALOGUE[code].remedy, [], headers
    if isinstance(error, exceptions.APIException):
        return "invalid", error.status_code, str(error.detail), [], headers
    return "server_error", status.HTTP_500_INTERNAL_SERVER_ERROR, CATALOGUE["server_error"].remedy, [], headers


def _field(error: FieldError) -> dict[str, str]:
    return {"field": error.field, "code": error.code, "detail": error.detail}


def flatten_errors(detail: Any, prefix: str = "") -> list[FieldError]:
    """DRF's nested error detail as a flat list of field errors."""
    if isinstance(detail, dict):
        return [
            found
            for key, value in detail.items()
            for found in flatten_errors(value, prefix if key == "non_field_errors" else f"{prefix}.{key}".strip("."))
        ]
    if isinstance(detail, list):
        return [found for value in detail for found in flatten_errors(value, prefix)]
    return [FieldError(prefix, getattr(detail, "code", "invalid"), str(detail))]


class NewestFirst(CursorPagination):
    """`{next, previous, results}`, newest first, stable while rows arrive; `limit` up to a maximum."""

    ordering = ("-created_at", "-id")
    page_size = settings.API_PAGE_SIZE
    page_size_query_param = "limit"
    max_page_size = settings.API_PAGE_SIZE_MAX
    cursor_query_param = "cursor"
