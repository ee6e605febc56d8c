"""The books in templates: `{% load portfolio_ui %}`."""

from decimal import Decimal

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from portfolio import statements
from portfolio.models import JournalEntry, LedgerAccount, Transfer
from portfolio.models.ledger import LedgerKind
from portfolio.reports import Statement
from speedtrade.lib.formats import RULES, direction, money_text, qty_text
from speedtrade.lib.money import money
from speedtrade.templatetags.ui import icon

register = template.Library()
register.filter("entry_title", statements.entry_title)
register.filter("cash_after", statements.cash_after)

_ICONS = {"deposit": "plus", "withdrawal": "wallet", "fill": "trade"}
_POCKETS = {
    LedgerKind.CASH: "Your cash",
    LedgerKind.POSITION: "Your holdings",
    LedgerKind.EXTERNAL: "Outside",
    LedgerKind.MARKET: "The market",
    LedgerKind.FEES: "Fees",
}


@register.filter
def entry_icon(entry: JournalEntry) -> SafeString:
    return icon(_ICONS.get(entry.kind, "ledger"), "sm")


@register.filter
def pocket(row: LedgerAccount) -> str:
    """'Your cash', 'The market': where a posting takes from or gives to."""
    return _POCKETS[LedgerKind(row.kind)]


@register.simple_tag
def in_asset(amount: object, posting: Transfer, currency: str) -> str:
    """An amount of a posting in its asset: '$500.00', '5 AAPL'."""
    if posting.asset == currency:
        return money_text(amount)  # type: ignore[arg-type]
    return f"{qty_text(amount)} {posting.asset}"  # type: ignore[arg-type]


@register.filter
def exact(amount: Decimal, plus: str = "") -> SafeString:
    """An amount to its last digit, '$1,234.50' or '$0.12345678': columns of it add up."""
    whole, _, fraction = money(abs(amount)).partition(".")
    sign = RULES["minus"] if amount < 0 else plus
    text = f"{sign}{RULES['currency']}{int(whole):,}.{fraction}"
    return format_html('<data class="num" value="{}">{}</data>', money(amount), text)


@register.filter
def exact_change(amount: Decimal) -> SafeString:
    """A gain or loss to its last digit, with arrow, word and sign."""
    way = direction(amount)
    return format_html(
        '<span class="chg {}"><span class="arrow" aria-hidden="true">{}</span>'
        '<span class="vh">{}</span>{}</span>',
        way,
        RULES[way] if way != "flat" else "",
        RULES[f"{way}_words"] if way != "flat" else "",
        exact(amount, RULES["plus"] if amount > 0 else ""),
    )


@register.simple_tag
def cash_left(statement: Statement, entry: JournalEntry) -> SafeString:
    """The cash after one booking of a statement."""
    return exact(statement.cash_after(entry))
