"""The books in templates: `{% load portfolio_ui %}`."""

from collections.abc import Sequence
from decimal import Decimal

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from portfolio import statements
from portfolio.holding_rows import holding_rows
from portfolio.models import JournalEntry, LedgerAccount, Transfer
from portfolio.models.ledger import LedgerKind
from portfolio.reports import Statement
from speedtrade.lib.formats import RULES, direction, money_text, qty_text
from speedtrade.lib.markup import icon
from speedtrade.lib.money import money

register = template.Library()
register.filter("entry_title", statements.entry_title)
register.filter("cash_after", statements.cash_after)
register.simple_tag(holding_rows)

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


# ── pictures of a curve ──────────────────────────────────────────────────────
WIDTH, HEIGHT, STRIP = 600, 120, 36
MOST_POINTS = 120


def _thinned(values: Sequence[Decimal]) -> Sequence[Decimal]:
    stride = max(1, -(-len(values) // MOST_POINTS))
    return [*values[:-1:stride], values[-1]]


def _line(values: Sequence[Decimal], low: Decimal, high: Decimal, height: int) -> str:
    """The path of values, the highest at the top."""
    step, span = Decimal(WIDTH) / max(len(values) - 1, 1), high - low or Decimal(1)
    points = (
        f"{step * place:.0f} {(high - value) / span * (height - 4) + 2:.1f}"
        for place, value in enumerate(values)
    )
    return "M" + "L".join(points)


@register.simple_tag
def growth_lines(mine: Sequence[Decimal], beside: Sequence[Decimal] | None = None) -> SafeString:
    """What one dollar became, here and in the benchmark, on one scale; the words stand beside."""
    drawn = [_thinned(values) for values in (mine, beside or []) if len(values) > 1]
    if not drawn:
        return SafeString("")
    low, high = min(map(min, drawn)), max(map(max, drawn))
    paths = [_line(values, low, high, HEIGHT) for values in drawn]
    return format_html(
        '<svg class="growth" viewBox="0 0 {} {}" preserveAspectRatio="none" aria-hidden="true">'
        '<path class="beside" d="{}"/><path d="{}"/></svg>',
        WIDTH,
        HEIGHT,
        paths[1] if len(paths) > 1 else "",
        paths[0],
    )


@register.simple_tag
def fall_strip(below: Sequence[Decimal]) -> SafeString:
    """How far below its highest value it lay, hanging from the top; the words stand beside."""
    if not any(below):
        return SafeString("")
    depths = [-value for value in _thinned(below)]
    return format_html(
        '<svg class="fall" viewBox="0 0 {} {}" preserveAspectRatio="none" aria-hidden="true">'
        '<path d="{}L{} 0L0 0Z"/></svg>',
        WIDTH,
        STRIP,
        _line(depths, min(depths), Decimal(0), STRIP),
        WIDTH,
    )


@register.filter
def whole_money(amount: Decimal) -> str:
    """'$100,000': an amount without cents, where it has none."""
    return money_text(amount).removesuffix(".00")
