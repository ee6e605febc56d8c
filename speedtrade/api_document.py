"""The OpenAPI document, made once in a process: it is long work, and anybody may ask for it."""

import functools
import hashlib
import threading
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.encoding import force_bytes
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer
from drf_spectacular.settings import spectacular_settings
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request

_making = threading.Lock()
_RENDERERS = {"json": OpenApiJsonRenderer, "yaml": OpenApiYamlRenderer}


@functools.cache
def _made(form: str) -> tuple[bytes, str]:
    """(the document, its ETag) in one of the two formats."""
    generator = SpectacularAPIView.generator_class()
    document = generator.get_schema(request=None, public=True)
    text = force_bytes(_RENDERERS[form]().render(document, renderer_context={}))
    return text, f'"{hashlib.sha256(text).hexdigest()[:32]}"'


class DocumentView(SpectacularAPIView):
    """`GET /api/schema`: YAML or JSON, as `Accept` or `?format=` says. Nothing else changes it."""

    http_method_names = ["get", "head"]  # of the library; to OPTIONS it answers with a fault

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        form = request.accepted_renderer.format
        with _making:  # of those who ask at once one makes it, and it cannot be made twice at once
            text, tag = _made(form)
        kind = f"{request.accepted_media_type}; charset=utf-8"
        response = HttpResponse(text, content_type=kind)
        response.headers["Content-Disposition"] = (
            f'inline; filename="{spectacular_settings.TITLE}.{form}"'
        )
        response.headers["ETag"] = tag
        answer = get_conditional_response(request._request, etag=tag, response=response)
        return answer or response
