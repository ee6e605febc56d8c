"""Numbers read the same from the server and from a live update, and never by colour alone."""

import json
import shutil
import subprocess
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.template import Context, Template
from django.urls import NoReverseMatch, reverse
from django.utils.html import escape

from speedtrade.lib import formats, markup
from speedtrade.lib.money import percent

CASES: dict[str, list[tuple[list[Any], str]]] = json.loads(
    Path(__file__).with_name("format_cases.json").read_text("utf-8")
)
PYTHON = {
    "money": formats.money_text,
    "price": formats.price_text,
    "qty": formats.qty_text,
    "pct": formats.pct_text,
    "change": lambda amount, pct, tick: formats.change_text(amount, pct, tick=tick),
    "direction": formats.direction,
}
FLAT = [(name, args, said) for name, rows in CASES.items() for args, said in rows]
JS = Path(settings.BASE_DIR) / "static" / "js"


def show(source: str, **context: Any) -> str:
    return Template(source).render(Context(context))


@pytest.mark.parametrize(("name", "args", "said"), FLAT)
def test_python_says_what_the_table_says(name: str, args: list[Any], said: str) -> None:
    assert PYTHON[name](*args) == said


#: What does not end after four decimals: up, down, and halves beside an even digit and an odd one.
SHARES = [
    ("1234996", "100000000"), ("2", "3"), ("-2", "3"), ("1234994", "100000000"),
    ("-1234996", "100000000"), ("0.0000005", "1"), ("0.0000015", "1"), ("-0.0000015", "1"),
]  # fmt: skip


@pytest.mark.skipif(
    shutil.which("node") is None, reason="node runs the browser's half of the table"
)
def test_the_browser_says_what_the_table_says() -> None:
    program = f"""
    import * as format from {json.dumps((JS / "format.js").as_uri())};
    const said = {json.dumps(FLAT)}.map(([name, args]) => format[name](...args));
    const exact = [
      format.times("1.5", "-0.000001"), format.minus("0.1", "0.30"), format.minus("2", "0.50"),
      format.percent("1", "3"), format.percent("-5", "0"), format.percent("2.5", "10"),
      ...{json.dumps(SHARES)}.map(([part, whole]) => format.percent(part, whole))];
    console.log(JSON.stringify([said, exact]));
    """
    command = ["node", "--no-warnings", "--input-type=module", "-e", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    said, exact = json.loads(done.stdout)
    assert said == [expected for _, _, expected in FLAT]
    assert exact[:6] == ["-0.0000015", "-0.20", "1.50", "33.3333", "0", "25.0000"]
    assert exact[6:] == [f"{percent(Decimal(part), Decimal(whole)):.4f}" for part, whole in SHARES]


def test_the_browser_has_the_same_rules() -> None:
    text = (JS / "formats.js").read_text("utf-8")
    assert json.loads(text.partition("export default ")[2].rstrip().rstrip(";")) == formats.RULES


@pytest.mark.parametrize("wrong", [1.5, "five", True, [1]])
def test_what_is_no_exact_number_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError):
        show("{{ value|money }}", value=wrong)


def test_money_keeps_the_exact_value_beside_the_text() -> None:
    assert (
        show("{{ v|money }}", v=Decimal("1234.50000000"))
        == '<data value="1234.50000000">$1,234.50</data>'
    )


def test_what_is_missing_is_said_in_words() -> None:
    for source in ("{{ v|money }}", "{{ v|dt }}", "{% change v %}", "{{ v|compact }}"):
        assert "not available" in show(source, v=None)


def test_a_loss_has_arrow_word_sign_and_class() -> None:
    html = show("{% change a p %}", a=Decimal("-1.2"), p=Decimal("-0.13"))
    assert (
        'class="chg down"' in html
        and "▼" in html
        and ">down<" in html
        and "−$1.20 (−0.13%)" in html
    )


def test_a_zero_change_has_no_arrow_and_no_sign() -> None:
    html = show("{% change a p %}", a=Decimal("0.00"), p=Decimal("0"))
    assert 'class="chg flat"' in html and "▲" not in html and "+" not in html


def test_a_live_price_names_its_symbol_and_tick() -> None:
    html = show('{% live "BTC/USD" v tick=t %}', v=Decimal("62011.5"), t=Decimal("0.0100000000"))
    assert html == (
        '<data class="num" data-symbol="BTC/USD" data-f="last" data-tick="0.01" value="62011.5">'
        "$62,011.50</data>"
    )


def test_a_symbol_is_escaped() -> None:
    assert "<script>" not in show("{% live s v %}", s='"><script>', v=Decimal(1))


@pytest.mark.parametrize(
    ("route", "argument"),
    [("trading:order", 7), ("marketdata:symbol", "BRK.B"), ("marketdata:symbol", "a b&'\"<ü?#")],
)
def test_an_address_is_what_django_says_it_is(route: str, argument: Any) -> None:
    assert markup.address(route)(argument) == escape(reverse(route, args=[argument]))


def test_a_route_without_arguments_is_what_django_says_it_is() -> None:
    orders = reverse("trading:orders")
    assert show("{% url 'trading:orders' %}") == orders
    assert show("{% url 'trading:orders' as to %}{{ to }}{{ to }}") == orders * 2
    assert show("{% url 'trading:order' 7 %}") == reverse("trading:order", args=[7])
    assert show("{% url 'no-such' as to %}[{{ to }}]") == "[]"
    with pytest.raises(NoReverseMatch):
        show("{% url 'no-such' %}")


def test_the_words_of_a_term_are_escaped() -> None:
    html = show("{% term 'fee' words %}", words="<i>")
    assert "&lt;i&gt;" in html and "<i>" not in html


def test_a_moment_reads_in_new_york_and_keeps_utc() -> None:
    moment = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
    html = show("{{ v|dt }}", v=moment)
    assert 'datetime="2026-01-05T14:30:00Z"' in html and "Jan 5, 2026, 09:30 ET" in html
    assert "09:30:00 ET" in show('{{ v|dt:"time" }}', v=moment)
    assert "data-age" in show('{{ v|dt:"age" }}', v=moment)
    assert (
        show("{{ v|dt }}", v=date(2026, 1, 5)) == '<time datetime="2026-01-05">Jan 5, 2026</time>'
    )


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(TypeError):
        show("{{ v|dt }}", v=datetime(2026, 1, 5))  # noqa: DTZ001 - the mistake under test


def test_a_sparkline_ends_at_the_last_price_and_stays_small() -> None:
    prices = [Decimal(n) for n in range(500)]
    html = show("{% sparkline v %}", v=prices)
    assert 'class="spark up"' in html and html.endswith('L72.0 1.0"/></svg>') and len(html) < 1200
    assert show("{% sparkline v %}", v=[Decimal(1)]) == ""


def test_every_icon_that_a_tag_uses_is_in_the_sprite() -> None:
    from speedtrade.templatetags.ui import ORDER_STATUS

    sprite = (Path(settings.BASE_DIR) / "static" / "icons.svg").read_text()
    assert all(f'id="{name}"' in sprite for _, _, name in ORDER_STATUS.values())


def test_an_unknown_status_is_still_readable() -> None:
    assert "Done for day" in show('{% status_pill "done_for_day" %}')


def test_nothing_that_a_tag_makes_is_inline_style() -> None:
    html = show("{% donut s %}{% depth_bar 40 'bid' %}{% sparkline s %}", s=["60", "25.5", "14.5"])
    assert html.count("<circle") == 3 and "style=" not in html


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("0.000123", "0.000123"),
        ("4415.095112", "4,415.1"),
        ("9999", "9,999"),
        ("1240000", "1.24M"),
        ("2500000000", "2.5B"),
    ],
)
def test_large_counts_are_short(value: str, said: str) -> None:
    assert formats.compact_text(value) == said


def test_what_reads_as_zero_has_no_arrow_and_no_colour() -> None:
    html = show("{% change a p %}", a="0.000000004", p="0.00001")
    assert 'class="chg flat"' in html and "▲" not in html and "$0" in html
