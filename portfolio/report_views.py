"""Pages of the books: activity, monthly statements, tax lots, each with a file to keep."""

from collections.abc import Iterator

from django.conf import settings
from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.models import BrokerageAccount
from accounts.requests import UserRequest, account_shown
from portfolio.domain.months import month_of, month_parse
from portfolio.forms import ActivityFilter
from portfolio.reports import months_of, statement_of, tax_year, years_of
from portfolio.selectors import activity_of
from portfolio.statement_files import file_name, statement_csv, taxes_csv
from portfolio.statements import activity_csv, by_day
from speedtrade.lib.htmx import page


@require_safe
def activity(request: UserRequest) -> HttpResponse:
    """`?kind= symbol= since= until= page=`: facts of the books, newest first; 422 for no filter."""
    account, form = account_shown(request), ActivityFilter(request.GET)
    valid = form.is_valid()
    entries = activity_of(account)
    entries = form.narrow(entries) if valid else entries.none()
    found = Paginator(entries, settings.PAGE_SIZE).get_page(request.GET.get("page"))
    context = {"account": account, "form": form, "valid": valid, "query": form.query}
    context |= {"found": found, "days": by_day(found.object_list)}
    return page(
        request,
        "portfolio/activity.html",
        context,
        partial="portfolio/partials/_activity.html",
        status=200 if valid else 422,
    )


@require_safe
def activity_export(request: UserRequest) -> HttpResponseBase:
    """The same facts, all pages of them, as a CSV file; back to the page for what is no filter."""
    account, form = account_shown(request), ActivityFilter(request.GET)
    if not form.is_valid():
        return redirect("portfolio:activity")
    lines = activity_csv(form.narrow(activity_of(account)))
    return _csv(lines, account, f"activity-{timezone.now():%Y-%m-%d}")


@require_safe
def statements(request: UserRequest) -> HttpResponse:
    """Every month since the account was opened, and every tax year."""
    now, account = timezone.now(), account_shown(request)
    context = {"account": account, "lines": months_of(account, now), "this": month_of(now)}
    return page(request, "portfolio/statements.html", context)


@require_safe
def statement(request: UserRequest, month: str) -> HttpResponse:
    """`?page=`: one month of the books; 404 for what is no month of this account."""
    now, account = timezone.now(), account_shown(request)
    made = statement_of(account, month_parse(month), now)
    pages = Paginator(made.entries, settings.STATEMENT_PAGE_SIZE)
    context = {"account": account, "statement": made}
    context["found"] = pages.get_page(request.GET.get("page"))
    return page(request, "portfolio/statement.html", context)


@require_safe
def statement_export(request: UserRequest, month: str) -> HttpResponseBase:
    """The same month as a CSV file, from its opening balance to its closing one."""
    now, account = timezone.now(), account_shown(request)
    made = statement_of(account, month_parse(month), now)
    return _csv(statement_csv(made), account, f"statement-{made.month}")


@require_safe
def taxes(request: UserRequest, year: int | None = None) -> HttpResponse:
    """`?page=`: what was sold in a year, lot by lot; this year where none is named."""
    now, account = timezone.now(), account_shown(request)
    report = tax_year(account, year or month_of(now).year, now)
    found = Paginator(report.sold, settings.STATEMENT_PAGE_SIZE).get_page(request.GET.get("page"))
    context = {"account": account, "report": report, "found": found}
    return page(request, "portfolio/taxes.html", context | {"years": years_of(account, now)})


@require_safe
def taxes_export(request: UserRequest, year: int) -> HttpResponseBase:
    """The same year as a CSV file with the columns of Form 8949."""
    account = account_shown(request)
    lines = taxes_csv(tax_year(account, year, timezone.now()))
    return _csv(lines, account, f"tax-lots-{year}")


def _csv(lines: Iterator[str], account: BrokerageAccount, what: str) -> HttpResponseBase:
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{file_name(account, what)}"'
    return response
