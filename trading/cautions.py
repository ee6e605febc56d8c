"""What a person should know before an order goes, beyond what is refused. Words only."""

from datetime import date, datetime, timedelta
from decimal import Decimal

from django.conf import settings

from marketdata.domain.calendar import AD_HOC_CLOSURES, NEW_YORK, early_closes, holidays
from marketdata.selectors import MarketState
from portfolio.selectors import summary_get
from speedtrade.lib.formats import money_text, pct_text, price_text, qty_text
from speedtrade.lib.money import percent
from trading.desks import Desk, Verdict
from trading.domain.orders import OrderIntent, Side
from trading.selectors.facts import limits
from trading.words import open_words, short_name

SIMULATED = "simulated"  # what stands in Instrument.feed
_HOLIDAYS = {
    1: "New Year",
    2: "Washington's Birthday",
    3: "Good Friday",
    4: "Good Friday",
    5: "Memorial Day",
    6: "Juneteenth",
    7: "Independence Day",
    9: "Labor Day",
    11: "Thanksgiving",
    12: "Christmas",
}
#: seconds, name, sign
_UNITS = ((86_400, "day", "d"), (3_600, "hour", "h"), (60, "minute", "min"), (1, "second", "s"))


def cautions(desk: Desk, intent: OrderIntent, verdict: Verdict) -> list[str]:
    """Sentences about an order that would pass, most important first."""
    if verdict.terms is None:
        return []
    found = [
        _other_prices(desk),
        far_limit(desk, intent, verdict.terms.reference_price),
        _concentration(desk, intent, verdict),
    ]
    return [text for text in found if text]


def _other_prices(desk: Desk) -> str:
    """A broker trades at its own prices; where ours are made up, that must be said."""
    account = desk.account
    if account.is_paper or desk.instrument.feed != SIMULATED:
        return ""
    return (
        f"The prices here are simulated. {account.venue} trades at its own, "
        "which may be far from these."
    )


def far_limit(desk: Desk, intent: OrderIntent, reference: Decimal) -> str:
    """A limit more than RISK_COLLAR_WARN from the market, either way; empty for any other."""
    if intent.limit_price is None or not reference:
        return ""
    above = percent(intent.limit_price - reference, reference)
    if abs(above) <= limits().collar_warn * 100:
        return ""
    way = "above" if above > 0 else "below"
    price = price_text(reference, desk.instrument.price_tick)
    said = f"The limit is {pct_text(abs(above))} {way} the market at {price}"
    if (above > 0) == (intent.side == Side.BUY):
        most = pct_text(limits().collar_deny * 100)
        return f"{said}: it will fill at once. More than {most} {way} is refused."
    return f"{said}: it may never fill."


def _concentration(desk: Desk, intent: OrderIntent, verdict: Verdict) -> str:
    """A purchase after which one symbol is more than CONCENTRATION_WARN of the account."""
    if intent.side != Side.BUY or verdict.estimate is None:
        return ""
    summary = summary_get(account=desk.account, now=desk.now)
    held = [
        row.market_value for row in summary.positions if row.held.symbol == desk.instrument.symbol
    ]
    if summary.portfolio_value <= 0:
        return ""
    share = percent(sum(held, verdict.estimate.amount), summary.portfolio_value)
    if share <= settings.CONCENTRATION_WARN * 100:
        return ""
    return f"{short_name(desk.instrument)} would be {pct_text(share)} of your portfolio."


def whole_shares(desk: Desk, intent: OrderIntent, verdict: Verdict) -> str:
    """How many whole shares an amount of money comes to, where there are no parts of one."""
    if desk.instrument.fractionable or intent.notional is None or verdict.estimate is None:
        return ""
    likely = verdict.estimate
    does = "buys" if intent.side == Side.BUY else "sells"
    if not likely.qty:
        return f"{short_name(desk.instrument)} trades in whole shares: that {does} none."
    shares = "share" if likely.qty == 1 else "shares"
    return (
        f"That {does} {qty_text(likely.qty)} whole {shares} for about {money_text(likely.amount)}."
    )


# ── hours and ages ───────────────────────────────────────────────────────────
def closed_words(state: MarketState, now: datetime, what: str = "An order") -> str:
    """'The market is closed for Thanksgiving. An order is queued until Fri 9:30 ET, in 22 h.'"""
    today = now.astimezone(NEW_YORK).date()
    opens = state.next_open.astimezone(NEW_YORK)
    name = holiday_name(today)
    closed = f"The market is closed for {name}." if name else "The market is closed."
    words = (
        f"{closed} {what} is queued until {open_words(opens)}, in {span(state.next_open - now)}."
    )
    if opens.date() in early_closes(opens.year):
        words += " That day is a half day: it closes at 13:00 ET."
    return words


def holiday_name(day: date) -> str:
    """The holiday that keeps the exchange closed on a weekday, or nothing."""
    if day not in holidays(day.year):
        return ""
    if day in AD_HOC_CLOSURES:
        return "the day"
    if day.month == 1 and day.day > 2:
        return "Martin Luther King Day"
    return _HOLIDAYS.get(day.month, "a holiday")


def span(left: timedelta) -> str:
    """'2 days 3 h', '2 h 30 min', '5 min': rounded up to minutes."""
    minutes = max(-(-int(left.total_seconds()) // 60), 1)
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} day{'s' if days > 1 else ''}{f' {hours} h' if hours else ''}"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def age_words(at: datetime, now: datetime) -> str:
    """'3 seconds old', '2 minutes old': how old a price is."""
    number, unit, _ = _age(at, now)
    return f"{number} {unit}{'s' if number > 1 else ''} old" if number else "less than a second old"


def age_short(at: datetime, now: datetime) -> str:
    """The same for a narrow line: '3 s old', '2 min old'. Not for reading aloud."""
    number, _, sign = _age(at, now)
    return f"{number or '<1'} {sign} old"


def _age(at: datetime, now: datetime) -> tuple[int, str, str]:
    """(how many, of which unit, its sign) in whole numbers of the largest unit that fits."""
    seconds = max(int((now - at).total_seconds()), 0)
    size, unit, sign = next((one for one in _UNITS if seconds >= one[0]), _UNITS[-1])
    return seconds // size, unit, sign
