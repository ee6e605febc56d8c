"""Instruments: read, halted and resumed, by the rules of the data file. Alerts are only read."""

from datetime import datetime
from typing import Any

from django.contrib import admin

from marketdata.models import Alert, AlertFiring, Instrument
from marketdata.services.instruments import instrument_halt, instrument_resume
from speedtrade.lib.admin import SupportAdmin, figure, support_action


def _halt(instrument: Instrument, actor: Any, reason: str, now: datetime) -> str:
    instrument_halt(symbol=instrument.symbol, actor=actor, reason=reason, now=now)
    return "halted; new orders are refused, cancels pass."


def _resume(instrument: Instrument, actor: Any, reason: str, now: datetime) -> str:
    instrument_resume(symbol=instrument.symbol, actor=actor, reason=reason, now=now)
    return "resumed."


@admin.register(Instrument)
class InstrumentAdmin(SupportAdmin):
    list_display = (
        "symbol",
        "name",
        "asset_type",
        "exchange",
        "tradable",
        "halted_at",
        "halt_reason",
    )
    list_filter = (("halted_at", admin.EmptyFieldListFilter), "asset_type", "exchange", "tradable")
    search_fields = ("symbol", "name")
    ordering = ("symbol",)
    fields = (
        "symbol",
        "name",
        "asset_type",
        "exchange",
        "sector",
        figure("price_tick"),
        figure("qty_step"),
        figure("min_qty"),
        figure("min_notional"),
        "fractionable",
        "tradable",
        "shortable",
        "halted_at",
        "halt_reason",
        "feed",
    )
    actions = (
        support_action(
            name="halt",
            label="Halt symbol",
            question="New orders in these symbols are refused for everybody; cancels pass, "
            "resting orders stay.",
            perform=_halt,
            fits=lambda instrument: instrument.halted_at is None,
        ),
        support_action(
            name="resume",
            label="Resume symbol",
            question="Orders in these symbols are taken again.",
            perform=_resume,
            fits=lambda instrument: instrument.halted_at is not None,
        ),
    )

    def owner_of(self, row: Instrument) -> None:
        """A symbol is the house's: what is done to it is done to everybody."""
        return None

    def row_words(self, row: Instrument) -> str:
        return row.symbol

    def audit_target(self, row: Instrument) -> str:
        return f"instrument:{row.symbol}"


@admin.register(Alert)
class AlertAdmin(SupportAdmin):
    list_display = ("id", "user", "instrument", "direction", figure("price"), "repeat", "state")
    list_filter = ("state", "repeat", "direction")
    list_select_related = ("user", "instrument")
    search_fields = ("=user__username", "=instrument__symbol")
    ordering = ("-id",)
    fields = (
        "user",
        "instrument",
        "direction",
        figure("price"),
        "repeat",
        "note",
        "state",
        "seen_at",
        "fired_at",
        figure("fired_price"),
        "created_at",
    )


@admin.register(AlertFiring)
class AlertFiringAdmin(SupportAdmin):
    list_display = ("id", "user", "instrument", "direction", figure("level"), figure("price"), "at")
    list_select_related = ("user", "instrument")
    search_fields = ("=user__username", "=instrument__symbol")
    ordering = ("-id",)
    fields = (
        "user",
        "alert_number",
        "instrument",
        "direction",
        figure("level"),
        "note",
        figure("price"),
        "quote_at",
        "at",
    )
