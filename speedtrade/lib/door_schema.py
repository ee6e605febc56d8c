"""What the OpenAPI document says of every JSON door alike: how it refuses.

A door names what is its own; what authentication, limits, parsing and an outage answer is added
here, so that no door forgets it.
"""

from typing import Any, Literal

from django.conf import settings
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import build_parameter_type
from drf_spectacular.utils import OpenApiParameter

from speedtrade.lib.api import PROBLEM_JSON, ProblemSerializer
from speedtrade.lib.requests import ID_DIGITS

EVERY = (400, 503)  # a request that cannot be read; a part that is away
KNOWN = (401, 403, 429)  # no log-in; a key that may not; a rate used up
BODY = (413, 415)  # too large; not JSON

#: an id in a query or a path
ID = {"type": "integer", "minimum": 0, "maximum": 10**ID_DIGITS - 1}
ACCOUNT = OpenApiParameter("account_id", ID, description="The default account without it.")
PAGES = [
    OpenApiParameter("cursor", str, description="Of `next` or `previous` of another page."),
    OpenApiParameter(
        "limit",
        {"type": "integer", "minimum": 1, "default": settings.API_PAGE_SIZE},
        description=f"Rows on a page, {settings.API_PAGE_SIZE_MAX} at most.",
    ),
]
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[\x21-\x7e]+$"},
    OpenApiParameter.HEADER,
    description="The same key again gives the first answer and does nothing twice.",
)


class DoorSchema(AutoSchema):
    """drf-spectacular's description of a door, with the refusals that all doors share."""

    def _get_response_bodies(
        self, direction: Literal["request", "response"] = "response"
    ) -> dict[str, Any]:
        answers: dict[str, Any] = super()._get_response_bodies(direction)
        for status in self._shared():
            if str(status) not in answers:
                answers[str(status)] = self._get_response_for_code(  # type: ignore[no-untyped-call]
                    ProblemSerializer, str(status), [PROBLEM_JSON], direction
                )
        return dict(sorted(answers.items()))

    def _shared(self) -> tuple[int, ...]:
        found: tuple[int, ...] = EVERY
        if self.view.authentication_classes:
            found += KNOWN
        if "{" in self.path:
            found += (404,)
        if self.method in {"POST", "PUT", "PATCH"}:
            found += BODY
        return found

    def _resolve_path_parameters(self, variables: list[str]) -> list[dict[str, Any]]:
        """An id in a path has the bounds that one in a query has."""
        made: list[dict[str, Any]] = super()._resolve_path_parameters(  # type: ignore[no-untyped-call]
            variables
        )
        return [
            build_parameter_type(name=one["name"], schema=ID, location="path", required=True)
            if one["schema"].get("type") == "integer"
            else one
            for one in made
        ]
