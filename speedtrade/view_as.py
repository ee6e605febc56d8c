"""Support looks at an account as its owner does: read only, with a reason, written down first.

It stands at the top of the house because it needs every app's selectors, the very ones that the
user's own pages call.
"""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.models import BrokerageAccount, User
from accounts.requests import user_of
from accounts.selectors import accounts_of
from accounts.services.audit import audit_record
from portfolio.selectors import activity_of, summary_get
from speedtrade.admin_site import SpeedTradeAdminSite
from speedtrade.lib.admin import ReasonForm
from trading.selectors.orders import orders_of
from trading.words import status_words

ORDERS_SHOWN = ACTIVITY_SHOWN = 50
QUESTION = (
    "You see their figures, positions, open orders and activity as they do. Nothing can be "
    "changed from there. Each look needs a reason."
)


@require_http_methods(["GET", "HEAD", "POST"])
def view_as(request: HttpRequest, user_id: int, site: SpeedTradeAdminSite) -> HttpResponseBase:
    """GET asks for a reason; POST writes it into the audit and shows the account."""
    actor, now = user_of(request), timezone.now()
    if not actor.has_perms(settings.SUPPORT_VIEW_AS):
        raise PermissionDenied
    user = get_object_or_404(User, pk=user_id)
    form = ReasonForm(request.POST if request.method == "POST" else None)
    if not form.is_valid():
        site.seen(request, f"user:{user.pk}")  # their name
        return _ask(request, user, form, site)
    audit_record(
        actor=actor,
        action="admin.view_as",
        target=f"user:{user.pk}",
        reason=form.cleaned_data["reason"],
        now=now,
    )
    context = {**_frame(request, user, site), "accounts": _accounts(user, now), "now": now}
    return TemplateResponse(request, "admin/view_as.html", context)


def _accounts(user: User, now: datetime) -> list[dict[str, Any]]:
    """Each of their accounts as their pages show it, the default one first; [] for who has none."""
    return [_account(account, now) for account in accounts_of(user)[: settings.VIEW_AS_ACCOUNTS]]


def _account(account: BrokerageAccount, now: datetime) -> dict[str, Any]:
    orders = orders_of(account, status="open")
    return {
        "account": account,
        "summary": summary_get(account=account, now=now),
        "orders": [(order, status_words(order).text) for order in orders[:ORDERS_SHOWN]],
        "open_count": orders.count(),
        "entries": activity_of(account)[:ACTIVITY_SHOWN],
    }


def _frame(request: HttpRequest, user: User, site: SpeedTradeAdminSite) -> dict[str, Any]:
    request.current_app = site.name  # Django's own way
    return {
        **site.each_context(request),
        "title": f"View as {user.username}",
        "opts": User._meta,
        "viewed": user,
        "back": reverse("admin:accounts_user_change", args=[user.pk]),
    }


def _ask(
    request: HttpRequest, user: User, form: ReasonForm, site: SpeedTradeAdminSite
) -> TemplateResponse:
    context = {
        **_frame(request, user, site),
        "question": QUESTION,
        "form": form,
        "rows": [f"{user.username} (#{user.pk})"],
        "action_url": request.path,
    }
    status = 422 if form.is_bound else 200
    return TemplateResponse(request, "admin/support_confirm.html", context, status=status)
