"""Pages of the books: activity, paper cash. What is owned is in `views_owned`."""

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import BrokerageAccount
from accounts.requests import UserRequest
from accounts.selectors import account_for_user
from portfolio.forms import TransferForm
from portfolio.models import EntryKind
from portfolio.selectors import activity_of, summary_get
from portfolio.services.transfers import transfer_make
from portfolio.statements import activity_csv, by_day
from speedtrade.lib.errors import DomainError
from speedtrade.lib.formats import money_text
from speedtrade.lib.htmx import page, see_other

CASH_KINDS = [EntryKind.DEPOSIT, EntryKind.WITHDRAWAL]
CASH_RECENT = 10


@require_safe
def activity(request: UserRequest) -> HttpResponse:
    """`?page=`: every fact of the books, newest first, by day, with its postings."""
    account = account_for_user(user=request.user)
    found = Paginator(activity_of(account), settings.PAGE_SIZE).get_page(request.GET.get("page"))
    context = {"account": account, "found": found, "days": by_day(found.object_list)}
    return page(request, "portfolio/activity.html", context)


@require_safe
def activity_export(request: UserRequest) -> HttpResponseBase:
    """The same as a CSV file."""
    account = account_for_user(user=request.user)
    response = StreamingHttpResponse(activity_csv(account), content_type="text/csv; charset=utf-8")
    name = f"speedtrade-activity-{timezone.now():%Y-%m-%d}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@require_http_methods(["GET", "HEAD", "POST"])
def transfers(request: UserRequest) -> HttpResponseBase:
    """POST `direction`, `amount`, `key`: paper cash in or out, once; 422 with the form if not."""
    account, posted = account_for_user(user=request.user), request.method == "POST"
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
