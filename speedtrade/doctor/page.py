"""The checklist as a page of the support desk; each look is in the audit."""

from typing import Any, cast

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.requests import user_of
from speedtrade.doctor.table import examine

RIGHT = "portfolio.view_ledgercheck"  # who may see whether the house is sound


@require_safe
def doctor_page(request: HttpRequest, site: AdminSite) -> HttpResponseBase:
    """200 with every check; 403 for staff without RIGHT."""
    if not user_of(request).has_perm(RIGHT):
        raise PermissionDenied
    cast(Any, site).seen(request, "doctor:*")
    request.current_app = site.name  # Django's own way
    now = timezone.now()
    context = {
        **site.each_context(request),
        "title": "Production checklist",
        "findings": examine(now),
        "now": now,
    }
    return TemplateResponse(request, "admin/doctor.html", context)
