"""Paper cash in and out. What is owned is in `views_owned`, the books are in `report_views`."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.models import BrokerageAccount
from accounts.requests import UserRequest, account_shown
from portfolio.forms import TransferForm
from portfolio.models import EntryKind
from portfolio.selectors import activity_of, summary_get
from portfolio.services.transfers import transfer_make
from speedtrade.lib.errors import DomainError
from speedtrade.lib.formats import money_text
from speedtrade.lib.htmx import page, see_other

CASH_KINDS = [EntryKind.DEPOSIT, EntryKind.WITHDRAWAL]
CASH_RECENT = 10


@require_http_methods(["GET", "HEAD", "POST"])
def transfers(request: UserRequest) -> HttpResponseBase:
    """POST `direction`, `amount`, `key`: paper cash in or out, once; 422 with the form if not."""
    account, posted = account_shown(request), request.method == "POST"
    form = TransferForm(request.POST) if posted else TransferForm.fresh(request.GET)
    if posted and form.is_valid():
        try:
            made, _ = transfer_make(
                account=account, requested_by=request.user, now=timezone.now(), **form.cleaned_data
            )
        except DomainError as error:
            form.with_refusal(error)
        else:
            messages.success(request, f"{made.get_direction_display()}: {money_text(made.amount)}")
            return see_other(request, "portfolio:transfers")
    return _transfers(request, account, form, status=422 if posted else 200)


def _transfers(
    request: UserRequest, account: BrokerageAccount, form: TransferForm, status: int
) -> HttpResponse:
    context = {
        "account": account,
        "form": form,
        "summary": summary_get(account=account, now=timezone.now()),
        "entries": activity_of(account).filter(kind__in=CASH_KINDS)[:CASH_RECENT],
        "most": settings.TRANSFER_MAX,
    }
    return page(request, "portfolio/transfers.html", context, status=status)
