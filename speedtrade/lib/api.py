"""The JSON door's manners: strict parsing, RFC 9457 problems, cursor pages."""

import base64
import logging
import math
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import extend_schema_field
from redis.exceptions import RedisError
from rest_framework import exceptions, serializers
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from speedtrade.lib.errors import CATALOGUE, DomainError, FieldError, InvalidInput, title_of
from speedtrade.lib.money import NotANumber, parse_given
from speedtrade.lib.requests import whole_number
from speedtrade.lib.strict_json import NamedTwice, NoObject, object_read

logger = logging.getLogger(__name__)
PROBLEM_JSON = "application/problem+json"
CHALLENGE = 'Bearer realm="speedtrade"'  # WWW-Authenticate of every 401
NUMBER = r"^-?[0-9]{1,18}(\.[0-9]{1,10})?$"  # of a NumberField, for the OpenAPI document
RETRY_SOON = 2  # seconds, where a part is away or a lock was not given

_BY_EXCEPTION: list[tuple[type[Exception], str]] = [
    (exceptions.NotAuthenticated, "not_authenticated"),
    (exceptions.AuthenticationFailed, "invalid_token"),
    (exceptions.PermissionDenied, "permission_denied"),
    (PermissionDenied, "permission_denied"),
    (exceptions.NotFound, "not_found"),
    (Http404, "not_found"),
    (exceptions.MethodNotAllowed, "method_not_allowed"),
    (exceptions.UnsupportedMediaType, "unsupported_media_type"),
    (exceptions.NotAcceptable, "not_acceptable"),
    (exceptions.Throttled, "rate_limited"),
]


class StrictJSONParser(JSONParser):
    """JSON objects only: no NaN, no Infinity, no name twice, no list or text on top, not deep."""

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Any = None
    ) -> dict[str, Any]:
        raw = stream.read()  # never more than DATA_UPLOAD_MAX_MEMORY_SIZE
        if not raw.strip():
            return {}
        try:
            return object_read(raw)
        except NamedTwice as error:
            words = "The body has this name twice. Send it once."
            raise InvalidInput.field(error.name, words, NamedTwice.code) from error
        except NoObject as error:
            raise InvalidInput("The body must be a JSON object.") from error
        except ValueError as error:
            raise InvalidInput("The body is not valid JSON.") from error


@extend_schema_field(
    {"oneOf": [{"type": "string", "pattern": NUMBER}, {"type": "integer"}], "example": "12.5"}
)
class NumberField(serializers.CharField):
    """Money, a price or a quantity: exact text in ("12.5"), a Decimal out. A float is refused."""

    default_error_messages = {"invalid": 'Write a plain number as text, such as "12.5".'}

    def to_internal_value(self, data: Any) -> Decimal:  # type: ignore[override]  # a number, as text
        try:
            return parse_given(data)
        except NotANumber:
            self.fail("invalid")


def problem(
    *,
    status_code: int,
    code: str,
    detail: str,
    errors: list[dict[str, str]] | None = None,
    request_id: str = "",
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


def problem_response(request: HttpRequest, error: Exception) -> JsonResponse:
    """A problem outside DRF (URL not found, CSRF, a fault in middleware)."""
    body, headers = describe_problem(error, request.META.get("HTTP_X_REQUEST_ID", ""))
    return JsonResponse(body, status=body["status"], content_type=PROBLEM_JSON, headers=headers)


def problem_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: every failure leaves as one problem; the transaction rolls back."""
    # Late: DRF's views import the parsers of this module while they are being made.
    from rest_framework.renderers import JSONRenderer
    from rest_framework.views import set_rollback

    request = context["request"]  # a problem is JSON, whatever it was about: the document is YAML
    request.accepted_renderer, request.accepted_media_type = JSONRenderer(), PROBLEM_JSON
    request_id = request.META.get("HTTP_X_REQUEST_ID", "")
    body, headers = describe_problem(error, request_id)
    if body["status"] >= 500:
        logger.error("api_failed", exc_info=error)
    set_rollback()
    return Response(body, status=body["status"], headers=headers, content_type=PROBLEM_JSON)


def describe_problem(error: Exception, request_id: str) -> tuple[dict[str, Any], dict[str, str]]:
    """(problem, headers) of any exception; pages and the API say the same."""
    code, status_code, detail, fields, headers = _describe(error)
    body = problem(
        status_code=status_code, code=code, detail=detail, errors=fields, request_id=request_id
    )
    return body, headers


def _describe(
    error: Exception,
) -> tuple[str, int, str, list[dict[str, str]], dict[str, str]]:
    """(code, status, detail, field errors, headers) of any exception."""
    if isinstance(error, DomainError):
        return (
            error.code,
            error.status,
            error.detail,
            [_field(one) for one in error.errors],
            _headers(error.status, error.retry_after),
        )
    if isinstance(error, exceptions.ValidationError):
        fields = [_field(one) for one in flatten_errors(error.detail)]
        words = " ".join(f"{f['field']}: {f['detail']}".removeprefix(": ") for f in fields)
        return "invalid", 400, words, fields, {}
    if isinstance(error, RequestDataTooBig):
        return "too_large", 413, CATALOGUE["too_large"].remedy, [], {}
    if isinstance(error, exceptions.ParseError | SuspiciousOperation):
        return "invalid", 400, "The body cannot be read.", [], {}
    if isinstance(error, OperationalError | RedisError):
        return "unavailable", 503, title_of("unavailable"), [], _headers(503, RETRY_SOON)
    for kind, code in _BY_EXCEPTION:
        if isinstance(error, kind):
            status_code = getattr(error, "status_code", 404 if code == "not_found" else 403)
            wait = getattr(error, "wait", None)
            headers = _headers(status_code, math.ceil(wait) if wait is not None else None)
            return code, status_code, CATALOGUE[code].remedy, [], headers
    if isinstance(error, exceptions.APIException):
        return "invalid", error.status_code, str(error.detail), [], {}
    return "server_error", 500, CATALOGUE["server_error"].remedy, [], {}


def _headers(status_code: int, retry_after: int | None) -> dict[str, str]:
    headers = {"WWW-Authenticate": CHALLENGE} if status_code == 401 else {}
    if retry_after is not None:
        headers["Retry-After"] = str(max(1, retry_after))
    return headers


def _field(error: FieldError) -> dict[str, str]:
    return {"field": error.field, "code": error.code, "detail": error.detail}


def flatten_errors(detail: Any, prefix: str = "") -> list[FieldError]:
    """DRF's nested error detail as a flat list of field errors."""
    if isinstance(detail, dict):
        return [
            found
            for key, value in detail.items()
            for found in flatten_errors(
                value, prefix if key == "non_field_errors" else f"{prefix}.{key}".strip(".")
            )
        ]
    if isinstance(detail, list):
        return [found for value in detail for found in flatten_errors(value, prefix)]
    return [FieldError(prefix, getattr(detail, "code", "invalid"), str(detail))]


class NewestFirst(CursorPagination):
    """`{next, previous, results}`, newest first, stable while rows arrive; `limit` is capped.

    A `limit` that is no whole number above zero raises InvalidInput; a cursor that is none,
    NotFound.
    """

    ordering = ("-created_at", "-id")
    page_size = settings.API_PAGE_SIZE
    page_size_query_param = "limit"
    max_page_size = settings.API_PAGE_SIZE_MAX
    cursor_query_param = "cursor"

    def get_page_size(self, request: Request) -> int:
        size = whole_number(request.query_params.get("limit"), "limit")
        if size == 0:
            raise InvalidInput.field("limit", "Write a whole number above zero.")
        return min(size or self.page_size, self.max_page_size)

    def decode_cursor(self, request: Request) -> Cursor | None:
        """The library looks at neither what a position is nor what is no base64."""
        given = request.query_params.get(self.cursor_query_param, "")
        cursor: Cursor | None = super().decode_cursor(request)
        try:
            base64.b64decode(given, validate=True)
            at = parse_datetime(str(cursor.position)) if cursor and cursor.position else None
        except ValueError as error:
            raise exceptions.NotFound(self.invalid_cursor_message) from error
        if cursor and cursor.position is not None and (at is None or at.tzinfo is None):
            raise exceptions.NotFound(self.invalid_cursor_message)
        return cursor


class FieldErrorSerializer(serializers.Serializer[FieldError]):
    field = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """The shape of `problem` for the OpenAPI document."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()
    errors = FieldErrorSerializer(many=True)  # type: ignore[assignment]  # a field of that name
    request_id = serializers.CharField()


def problems(*statuses: int) -> dict[tuple[int, str], type[ProblemSerializer]]:
    """The error answers of an operation, for `extend_schema(responses={...} | problems(404))`."""
    return {(status_code, PROBLEM_JSON): ProblemSerializer for status_code in statuses}
