"""`GET /metrics`: for Prometheus with its token, and for staff who showed a second factor.

For all others it is not there.
"""

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from speedtrade.metrics.domain import DomainCollector
from speedtrade.metrics.token import has_token
from speedtrade.metrics.web import REGISTRY

REGISTRY.register(DomainCollector())


@login_not_required
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """200 with the text format of Prometheus; 404 but for `Bearer METRICS_TOKEN` and for staff.

    https://prometheus.io/docs/instrumenting/exposition_formats/
    """
    from accounts.sessions import factor_shown

    if not (has_token(request) or (request.user.is_staff and factor_shown(request))):
        raise Http404
    return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)
