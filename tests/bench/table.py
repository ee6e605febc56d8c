"""Rows of the table of figures: how one is judged, printed and kept in docs/benchmarks.md."""

import re
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
COLUMNS = ("name", "ours", "floor", "ratio", "gate", "stretch", "verdict")
MISSED, GATE, STRETCH = "MISSED", "gate", "stretch"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. All but `held` is text; `held` is whether the gate was kept."""

    name: str
    ours: str
    floor: str
    ratio: str
    gate: str
    stretch: str
    verdict: str
    held: bool
    note: str = ""

    def cells(self) -> tuple[str, ...]:
        return tuple(getattr(self, column) for column in COLUMNS)


@dataclass(frozen=True, slots=True)
class Limit:
    """What a figure may be at most (or at least, with `least`), and what it should be."""

    gate: float
    stretch: float
    unit: str = "×"
    least: bool = False

    def words(self, value: float) -> str:
        return f"{'≥' if self.least else '≤'} {number(value)}{_spaced(self.unit)}"

    def verdict(self, value: float) -> str:
        held, stretched = value <= self.gate, value <= self.stretch
        if self.least:
            held, stretched = value >= self.gate, value >= self.stretch
        return STRETCH if stretched and held else GATE if held else MISSED


def number(value: float) -> str:
    """Three figures that a person reads: 0.52, 4.1, 123, 98,000."""
    size = abs(value)
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def _spaced(unit: str) -> str:
    return unit if unit in {"×", "%", ""} else f" {unit}"


def judge(
    name: str,
    ours: float,
    limit: Limit,
    *,
    unit: str,
    floor: float | None = None,
    floor_unit: str = "",
    also: Limit | None = None,
    note: str = "",
) -> Row:
    """Set a figure beside its floor.

    With a floor the limit is for their ratio (in per cent where its unit is one) and `also` for
    the figure itself; without one the limit is for the figure.
    """
    ratio = None if floor is None else ours / floor * (100 if limit.unit == "%" else 1)
    checks = [(limit, ours if ratio is None else ratio)]
    checks += [(also, ours)] if also else []
    verdicts = [one.verdict(value) for one, value in checks]
    verdict = MISSED if MISSED in verdicts else GATE if GATE in verdicts else STRETCH
    return Row(
        name,
        number(ours) + _spaced(unit),
        "–" if floor is None else number(floor) + _spaced(floor_unit or unit),
        "–" if ratio is None else number(ratio) + limit.unit,
        " and ".join(one.words(one.gate) for one, _ in checks),
        " and ".join(one.words(one.stretch) for one, _ in checks),
        verdict,
        verdict != MISSED,
        note,
    )


def failed(name: str, why: str) -> Row:
    """A figure that could not be measured; it holds no gate."""
    return Row(name, "–", "–", "–", "–", "–", "FAILED", False, why)


def printed(rows: list[Row]) -> str:
    """The table for a terminal."""
    table = [COLUMNS, *(row.cells() for row in rows)]
    widths = [max(len(line[n]) for line in table) for n in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    )


def markdown(rows: list[Row]) -> str:
    """The table for the documentation, and under it what each figure says of itself."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    lines += [f"| {' | '.join(row.cells())} |" for row in rows]
    notes = [f"- `{row.name}`: {row.note}" for row in rows if row.note]
    return "\n".join([*lines, "", *notes])


def section_write(heading: str, text: str, docs: Path = DOCS) -> None:
    """Replace one section (`## heading` up to the next one) of docs/benchmarks.md, or add it."""
    before = docs.read_text() if docs.exists() else PREFACE
    fresh = f"## {heading}\n\n{text.strip()}\n"
    pattern = re.compile(rf"^## {re.escape(heading)}\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
    after, found = pattern.subn(lambda _: fresh + "\n", before)
    if not found:
        after = before.rstrip() + "\n\n" + fresh
    docs.write_text(after.rstrip() + "\n")


PREFACE = """# Benchmarks

Figures about speed, each beside a floor that was measured in the same run on the same machine:
what no product on these two cores could beat. Ours and the floor take turns, five times or more,
and medians are compared, so a row reads as a ratio and not as a promise about another machine.

`make bench` writes the first table and fails where a gate is missed, `make load` the second,
`make growth` the third, `make out` the fourth. `make bench ONLY=name` measures one row, `QUICK=1`
repeats less; both only print. What each floor is stands in `tests/bench/`.
"""
