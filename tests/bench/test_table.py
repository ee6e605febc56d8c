"""A gate that is missed must be seen, and a section written twice must stand once."""

from pathlib import Path

import pytest

from tests.bench.table import Limit, judge, section_write
from tests.bench.ws import frame, frames


@pytest.mark.parametrize(
    ("ours", "verdict"), [(3.9, "stretch"), (4.1, "gate"), (8.0, "gate"), (8.1, "MISSED")]
)
def test_a_ratio_is_judged_by_gate_and_stretch(ours: float, verdict: str) -> None:
    row = judge("name", ours, Limit(8, 4), unit="ms", floor=1.0)
    assert (row.verdict, row.held) == (verdict, verdict != "MISSED")


@pytest.mark.parametrize(("ours", "verdict"), [(18, "stretch"), (8, "gate"), (7.9, "MISSED")])
def test_a_share_must_be_large_enough(ours: float, verdict: str) -> None:
    row = judge("name", ours, Limit(8, 18, "%", least=True), unit="/s", floor=100)
    assert row.verdict == verdict


def test_the_second_limit_is_for_the_figure_itself() -> None:
    row = judge("name", 90, Limit(8, 4), unit="ms", floor=30, also=Limit(60, 25, "ms"))
    assert row.ratio == "3×" and row.verdict == "MISSED"


def test_a_section_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    docs = tmp_path / "benchmarks.md"
    section_write("Figures", "4.1 ms", docs)
    section_write("Load", "32 clients", docs)
    section_write("Figures", "3.9 ms", docs)
    text = docs.read_text()
    assert text.startswith("# Benchmarks") and text.count("## Figures") == 1
    assert "4.1 ms" not in text and "32 clients" in text
    assert text.index("3.9 ms") < text.index("## Load")


def test_frames_are_found_and_half_a_frame_is_left() -> None:
    short, long = frame(b"x" * 5), frame(b"y" * 300)
    unmasked = b"\x81\x05" + short[6:] + b"\x81\x7e" + (300).to_bytes(2, "big") + long[8:]
    found = list(frames(unmasked + unmasked[:3]))
    assert [end - start for _, start, end in found] == [5, 300]
    assert found[-1][2] == len(unmasked)
