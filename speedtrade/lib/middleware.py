"""The outermost layer: request id, private caching, paths of the API, failures of pages."""

import json
import logging
import re
import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.db import OperationalError
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.http.request import QueryDict
from django.shortcuts import render, resolve_url
from django.template.loader import render_to_string
from django.utils.http import url_has_allowed_host_and_scheme
from redis.exceptions import RedisError

from speedtrade.lib.api import describe_problem, problem_response
from speedtrade.lib.errors import CATALOGUE, DomainError, Problem, title_of

logger = logging.getLogger(__name__)
ENDED = "ended"  # in the address of the log-in page: why a session ended by itself
TOAST_MOST = 300  # characters of a refusal that a header carries: words may repeat what was typed
FORM_ONLY = "This address takes what a form sends and has no page of its own. Nothing was done."
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)


class RequestFloorMiddleware:
    """Runs before everything else and after everything else.

    - a request id (the caller's when it is sane), which logs, tasks and problems repeat;
    - paths of the API and of health work with and without a trailing slash, for every method;
    - what is private is never stored by a cache, and every answer says its permissions;
    - a refusal that a page did not turn into words of its own becomes the error page.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # From META, not from request.headers: that would keep what the client sent for the logs.
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _SAFE_ID.fullmatch(given) else uuid.uuid4().hex
        request.META["HTTP_X_REQUEST_ID"] = request_id
        if request.path_info.startswith(("/api/", "/health/")) and request.path_info.endswith("/"):
            request.path_info = request.path_info.rstrip("/")
            request.path = request.path.rstrip("/")
        response = self.get_response(request)
        response.headers["X-Request-Id"] = request_id
        response.headers.setdefault("Permissions-Policy", settings.PERMISSIONS_POLICY)
        if not request.path_info.startswith(settings.STATIC_URL):
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """The answer for a refusal or an outage; None leaves everything else to the 500 page."""
        if not isinstance(error, DomainError | OperationalError | RedisError):
            return None
        if not isinstance(error, DomainError):
            logger.error("page_failed", exc_info=error)
        if request.path_info.startswith("/api/"):
            return problem_response(request, error)
        return page_refused(request, error)


def page_refused(request: HttpRequest, error: Exception) -> HttpResponse:
    """The error page of a refusal or an outage, and what htmx shows of it."""
    body, headers = describe_problem(error, request.META.get("HTTP_X_REQUEST_ID", ""))
    fallback = Problem(title_of(body["code"]), "")
    context = {
        "problem": CATALOGUE.get(body["code"], fallback),
        "code": body["code"],
        "detail": body["detail"],
        "status": body["status"],
        "retry_after": headers.get("Retry-After"),
        "request_id": body["request_id"],
    }
    if isinstance(error, OperationalError):  # the shell of a page would ask the database again
        response = HttpResponse(render_to_string("500.html", context), status=body["status"])
    else:
        response = render(request, "error.html", context, status=body["status"])
    if request.headers.get("HX-Request") == "true" and request.method not in ("GET", "HEAD"):
        headers["HX-Trigger"] = _toast(body["detail"])
    for name, value in headers.items():
        response.headers[name] = value
    return response


def _toast(detail: str) -> str:
    """What htmx shows of a refused act, whose page it does not: ASCII, as a header must be."""
    return json.dumps({"st:toast": {"level": "error", "text": detail[:TOAST_MOST]}})


class NotAllowedPageMiddleware:
    """A page for who looks at an address that only takes a form: by a reload, a link, a bookmark.

    Whoever sent something sees the answer of Django, as programs do.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if not isinstance(response, HttpResponseNotAllowed) or request.method != "GET":
            return response
        if request.path_info.startswith("/api/"):
            return response
        context = {
            "problem": CATALOGUE["method_not_allowed"],
            "detail": FORM_ONLY,
            "status": response.status_code,
            "request_id": request.META.get("HTTP_X_REQUEST_ID", ""),
            "path": "",  # nobody is to be led back here
        }
        page = render(request, "error.html", context, status=response.status_code)
        page.headers["Allow"] = response.headers["Allow"]
        return page


class LoginDoorMiddleware(LoginRequiredMiddleware):
    """Deny by default. A fragment cannot become the log-in page: htmx is told to load that page."""

    def handle_no_permission(
        self, request: HttpRequest, view_func: Callable[..., HttpResponseBase]
    ) -> Any:
        query = QueryDict(mutable=True)
        query[REDIRECT_FIELD_NAME] = _here(request)
        if ended := getattr(request.session, "ended", ""):
            query[ENDED] = ended
        target = f"{resolve_url(settings.LOGIN_URL)}?{query.urlencode(safe='/')}"
        if request.headers.get("HX-Request") == "true":
            return HttpResponse(status=HTTPStatus.NO_CONTENT, headers={"HX-Redirect": target})
        return HttpResponseRedirect(target)


def _here(request: HttpRequest) -> str:
    """The page where somebody was, without a host; the log-in page checks it again.

    Of a fragment and of a form that is the page around it: their own address may have none.
    """
    if request.headers.get("HX-Request") == "true":
        around = request.headers.get("HX-Current-URL", "")
        return _path(around) or "/"
    if request.method in ("GET", "HEAD"):
        return request.get_full_path()
    around = request.headers.get("Referer", "")
    own = url_has_allowed_host_and_scheme(around, {request.get_host()}, request.is_secure())
    return _path(around) if own and _path(around) else request.get_full_path()


def _path(url: str) -> str:
    """The path of an address that a client wrote, with its query; "" where it is no address."""
    try:
        return urlsplit(url)._replace(scheme="", netloc="", fragment="").geturl()
    except ValueError:
        return ""
