"""The documents say what is: links, commands, settings, codes, states and figures are looked up."""

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands

from portfolio.domain.lots import FillFact, replay
from portfolio.domain.pnl import Book, Held, PricePoint, value_book
from portfolio.models import LedgerKind
from speedtrade.datafolder import PROJECT
from speedtrade.lib.errors import CATALOGUE
from speedtrade.testing.market import NOON
from trading.domain.orders import OrderState, public_status

D = Decimal
DOCS = PROJECT / "docs"
PAGES = [*PROJECT.glob("*.md"), *DOCS.rglob("*.md"), PROJECT / "templates" / "README.md"]
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)[^)]*\)")
IDS = [str(page.relative_to(PROJECT)) for page in PAGES]


def text(name: str) -> str:
    return (PROJECT / name).read_text("utf-8")


@pytest.mark.parametrize("document", PAGES, ids=IDS)
def test_every_relative_link_leads_to_a_file(document: Path):
    links = LINK.findall(document.read_text("utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", PAGES, ids=IDS)
def test_no_document_names_a_path_of_somebodys_machine(document: Path):
    found = re.findall(
        r"(?<![\w./:])/(?:home|root|tmp|Users|work|mnt|var)/\S*", document.read_text()
    )
    assert found == []


def test_every_concept_and_every_choice_is_linked():
    linked = {
        (page.parent / link).resolve()
        for page in (PROJECT / "README.md", DOCS / "README.md")
        for link in LINK.findall(page.read_text("utf-8"))
    }
    pages = {page.resolve() for page in DOCS.rglob("*.md")}
    assert pages - linked == set()
    assert len([page for page in pages if page.parent.name == "adr"]) >= 8


def test_every_make_target_of_the_readme_exists_and_the_other_way_round():
    targets = set(re.findall(r"^([a-z][\w-]*):", text("Makefile"), re.MULTILINE))
    told = set(re.findall(r"\bmake ([a-z][\w-]*)", text("README.md")))
    assert told - targets == set()
    inner = {"lint-code", "lint-django"}
    assert targets - inner - told == set()


@pytest.mark.parametrize("document", PAGES, ids=IDS)
def test_every_command_that_a_document_names_exists(document: Path):
    named = set(re.findall(r"manage\.py\s+([a-z][a-z_]+)", document.read_text("utf-8")))
    assert named - set(get_commands()) == set()


@pytest.mark.parametrize("document", PAGES, ids=IDS)
def test_every_setting_that_a_document_names_exists(document: Path):
    """Names in capitals with an underscore, between backticks; `RISK_*` stands for several."""
    told = re.findall(r"^(?:# )?([A-Z_0-9]+)=", text(".env.example"), re.MULTILINE)
    known = {*dir(settings), *settings.DATABASES["default"], *told}
    for name in re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]*\*?)`", document.read_text("utf-8")):
        if name.endswith("*"):
            assert any(one.startswith(name[:-1]) for one in known), name
        else:
            assert name in known, name


def test_operations_name_services_that_compose_has():
    services = set(yaml.safe_load(text("docker-compose.yml"))["services"])
    said = text("docs/operations.md")
    named = set(re.findall(r"docker compose (?:exec|logs)(?: -T)? (\w+)", said))
    named |= {w for line in re.findall(r"docker compose stop (.*)", said) for w in line.split()}
    assert named and named - services == set()


def test_the_order_page_names_every_check_and_no_other():
    section = text("docs/concepts/order.md").partition("## The checks")[2].partition("\n## ")[0]
    named = {code for code in re.findall(r"`([a-z_]+)`", section) if "_" in code}
    raised = set(re.findall(r'code="([a-z_]+)"', text("trading/domain/risk.py")))
    assert named == raised
    assert named <= set(CATALOGUE)


def test_the_order_page_shows_every_state_with_its_public_word():
    rows = dict(
        re.findall(r"^\| ([a-z_ ·]+) \| ([^|]+) \|", text("docs/concepts/order.md"), re.MULTILINE)
    )
    shown = {
        name: status.strip().strip("`")
        for names, status in rows.items()
        for name in names.split(" · ")
    }
    del shown["state"]
    expected = {
        state.value: "the same" if shown.get(state.value) == "the same" else public_status(state)
        for state in OrderState
    }
    assert shown == expected
    for name, status in shown.items():
        if status == "the same":
            assert public_status(OrderState(name)) == name


def test_the_ledger_page_lists_every_pocket():
    shown = re.findall(r"^\| `([a-z]+)` \|", text("docs/concepts/ledger.md"), re.MULTILINE)
    assert sorted(shown) == sorted(LedgerKind.values)


def test_the_example_of_the_position_page_adds_up():
    trades = [("buy", "10", "100"), ("buy", "10", "110"), ("sell", "15", "120")]
    fills = [
        FillFact(
            str(number), None, side, D(qty), D(price), D(qty) * D(price), D(0),
            NOON + timedelta(seconds=number),
        )
        for number, (side, qty, price) in enumerate(trades)
    ]  # fmt: skip
    left = replay(fills)
    held = Held(
        position_id=1,
        symbol="AAPL",
        name="Apple",
        asset_type="stock",
        qty=left.qty,
        cost_basis=left.cost_basis,
        realized_pl=left.realized_pl,
        fees=left.fees,
        reserved=D(0),
        qty_today=left.qty,
        cash_today=sum((fill.cash for fill in fills), D(0)),
        opened_at=left.opened_at,
    )
    book = Book(1, "USD", D(0), D(0), D(0), (held,))
    value = value_book(book, {"AAPL": PricePoint(D(118), D(115))}, NOON).positions[0]
    page = text("docs/concepts/position.md")
    assert (left.qty, left.cost_basis) == (5, 550) and "5 at 110, cost 550" in page
    figures = {
        "realised": left.realized_pl,
        "unrealised": value.unrealized_pl,
        "day": value.day_pl,
    }
    for name, figure in figures.items():
        assert f"**{figure.normalize():f}**" in page, name
