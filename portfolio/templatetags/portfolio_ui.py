"""The books in templates: `{% load portfolio_ui %}`."""

from django import template
from django.utils.safestring import SafeString

from portfolio import statements
from portfolio.models import JournalEntry, LedgerAccount, Transfer
from portfolio.models.ledger import LedgerKind
from speedtrade.lib.formats import money_text, qty_text
from speedtrade.templatetags.ui import icon

register = template.Library()
register.filter("entry_title", statements.entry_title)

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
