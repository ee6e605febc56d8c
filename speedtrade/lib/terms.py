"""The words of the house in plain sentences: the "?" beside a figure and `/learn/terms` say these.

A key is the anchor on `/learn/terms`; `learn` is the page of `docs/concepts` that says more.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Term:
    """One word: its title, one or two plain sentences, and where there is more."""

    title: str
    text: str
    learn: str


TERMS: dict[str, Term] = {
    # ── asking for something ────────────────────────────────────────────────
    "market-order": Term(
        "Market order",
        "Buy or sell at once at the best price there is. You choose how much, not the price.",
        "order",
    ),
    "limit-order": Term(
        "Limit order",
        "Buy at your price or lower, sell at yours or higher. It may wait, and it may never fill.",
        "order",
    ),
    "time-in-force": Term(
        "Time in force",
        "How long an order waits: day until the close, gtc until you cancel it (90 days at most), "
        "ioc for no time at all, fok all of it at once or nothing.",
        "order",
    ),
    "day": Term(
        "Day", "The order waits until the close of this session, then it expires.", "order"
    ),
    "gtc": Term(
        "GTC", "Good till canceled: the order waits until you cancel it, 90 days at most.", "order"
    ),
    "ioc": Term(
        "IOC",
        "Immediate or cancel: what is there at once is filled, the rest is canceled.",
        "order",
    ),
    "fok": Term("FOK", "Fill or kill: all of it at once, or nothing.", "order"),
    "estimated-price": Term(
        "Estimated price",
        "What the order would come to at this moment's prices. Only the fill says the real one.",
        "fill",
    ),
    "partial-fill": Term(
        "Partial fill",
        "Some of the order is done, the rest still waits. Each part has a price of its own.",
        "fill",
    ),
    "fee": Term(
        "Fee",
        "What a trade costs beside its price: nothing for stocks, 0.1 % of the value for coins "
        "unless this house was set up differently.",
        "fill",
    ),
    "fractional-share": Term(
        "Fractional share",
        "A part of one share. An order in dollars buys as much of a share as the money pays for.",
        "broker",
    ),
    # ── prices ──────────────────────────────────────────────────────────────
    "bid": Term(
        "Bid", "The most that somebody offers to pay now. A sale at market gets it.", "quote"
    ),
    "ask": Term(
        "Ask", "The least that somebody wants for it now. A purchase at market pays it.", "quote"
    ),
    "spread": Term(
        "Spread",
        "The gap between bid and ask: what buying and selling again at once would cost.",
        "quote",
    ),
    "order-book": Term(
        "Order book",
        "What others want to buy and sell, level by level: a price, and how much is wanted there.",
        "quote",
    ),
    "stale-price": Term(
        "Stale price",
        "A price that has not been renewed for some seconds. It is shown grey, and market orders "
        "wait for a fresh one.",
        "quote",
    ),
    "price-alert": Term(
        "Price alert",
        "A price that you want to hear of. It tells you when the last price goes past it, and it "
        "buys and sells nothing.",
        "alert",
    ),
    "halted": Term(
        "Halted",
        "No new orders, for one symbol or for all. Orders can be canceled, not placed.",
        "order",
    ),
    # ── your money ──────────────────────────────────────────────────────────
    "buying-power": Term(
        "Buying power",
        "What you can spend on new orders now: your cash without what open orders hold.",
        "ledger",
    ),
    "held-by-open-orders": Term(
        "Held by open orders",
        "Set aside for orders that are not done: the most that they may still cost. It comes back "
        "when an order is filled for less or ends.",
        "ledger",
    ),
    "average-cost": Term(
        "Average cost",
        "What one share that you hold cost you on average: the cost of the open lots divided by "
        "the quantity, fees left out.",
        "position",
    ),
    "lot": Term(
        "Lot",
        "What one purchase brought in, at its price. A sale takes from the oldest lot first.",
        "position",
    ),
    "tax-lot": Term(
        "Tax lot",
        "A piece of a lot that a sale used up, with what it brought in and what it had cost. It is "
        "long term when it was held for more than a year.",
        "statement",
    ),
    "realised-pl": Term(
        "Realised P&L",
        "Profit or loss of what you have sold: what it brought in without what its lots had cost.",
        "position",
    ),
    "unrealised-return": Term(
        "Unrealised return",
        "What you would gain or lose by selling all you hold at the last price. It moves with it.",
        "position",
    ),
    "day-pl": Term(
        "Day P&L",
        "What today made or lost, from the previous close, with today's trades and fees in it.",
        "position",
    ),
    # ── how it did ──────────────────────────────────────────────────────────
    "allocation": Term(
        "Allocation",
        "Which share of your portfolio each holding and your cash make up.",
        "position",
    ),
    "twr": Term(
        "TWR",
        "Time-weighted return: how your choices did, with deposits and withdrawals taken out, so "
        "that it can be set beside an index.",
        "position",
    ),
    "drawdown": Term(
        "Drawdown",
        "How far the value is below its highest point so far. The worst of them says how deep a "
        "bad time went.",
        "position",
    ),
    "beta": Term(
        "Beta",
        "How much it moves with the market: 1 as much, 2 twice as much, 0 not at all.",
        "position",
    ),
    "volatility": Term(
        "Volatility",
        "How much the value jumps about, as a percentage per year. Larger is wilder, up and down.",
        "position",
    ),
}
