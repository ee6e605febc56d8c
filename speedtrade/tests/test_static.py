"""What is served from static/: vendored files are untouched, ours stay small."""

import base64
import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from speedtrade.lib.joined import joined_text

STATIC = Path(settings.BASE_DIR) / "static"
ROWS: list[dict[str, Any]] = json.loads((STATIC / "vendor/MANIFEST.json").read_text())["files"]
CSS_BUDGET = 12 * 1024  # bytes of all style sheets together, compressed
JS_BUDGET = 25 * 1024  # of all our scripts together, without charts
JS_LINES = 150


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["file"])
def test_vendored_file_is_the_one_that_was_fetched(row: dict[str, Any]) -> None:
    content = (STATIC / row["file"]).read_bytes()
    digest = base64.b64encode(hashlib.sha384(content).digest()).decode()
    assert (len(content), f"sha384-{digest}") == (row["bytes"], row["sha384"])


def test_every_vendored_file_is_in_the_manifest() -> None:
    found = {str(p.relative_to(STATIC)) for p in (STATIC / "vendor").rglob("*") if p.is_file()}
    listed = {row["file"] for row in ROWS if row["file"].startswith("vendor/")}
    assert found - {"vendor/MANIFEST.json"} == listed


def test_every_vendored_package_brings_its_licence() -> None:
    folders = {Path(row["file"]).parent for row in ROWS} - {Path(".")}
    assert folders
    assert all((STATIC / folder / "LICENSE").is_file() for folder in folders)
    assert "TradingView" in (STATIC / "vendor/lightweight-charts/NOTICE").read_text()


def test_style_sheets_fit_their_budget() -> None:
    sheet = joined_text("css/app.css", STATIC)
    assert len(gzip.compress(sheet.encode())) <= CSS_BUDGET


def test_scripts_of_ours_fit_their_budget() -> None:
    """All without charts; what one page loads, charts too, is measured in a browser."""
    sizes = {
        name: len(gzip.compress(joined_text(name, STATIC).encode()))
        for name in settings.STATIC_JOINED
        if name.endswith(".js") and "chart" not in name
    }
    assert sum(sizes.values()) <= JS_BUDGET, sizes


def test_every_script_of_ours_is_short() -> None:
    scripts = sorted((STATIC / "js").glob("*.js"))
    assert scripts
    assert [s.name for s in scripts if len(s.read_text().splitlines()) > JS_LINES] == []


def test_a_page_asks_for_joined_scripts_alone() -> None:
    """A part of a joined file that is asked for by itself, too, would run twice."""
    templates = (Path(settings.BASE_DIR) / "templates").rglob("*.html")
    asked = {
        script
        for file in templates
        for script in re.findall(r"'(js/[\w-]+\.js)'", file.read_text("utf-8"))
    }
    assert "js/app.js" in asked
    assert asked - set(settings.STATIC_JOINED) == set()


def test_every_dialog_has_a_voice_of_its_own() -> None:
    """While one is open, the region of the page behind it is silent."""
    dialogs = [
        dialog
        for file in (Path(settings.BASE_DIR) / "templates").rglob("*.html")
        for dialog in re.findall(r"<dialog.*?</dialog>", file.read_text("utf-8"), re.DOTALL)
    ]
    assert len(dialogs) >= 3
    assert [one[:60] for one in dialogs if 'role="status" data-sr' not in one] == []


@pytest.mark.parametrize("sheet", sorted((STATIC / "css").glob("*.css")), ids=lambda s: s.name)
def test_no_layer_of_a_sheet_swallows_the_next(sheet: Path) -> None:
    """A brace that is missing hides every rule after it, and no browser complains."""
    text = re.sub(r"/\*.*?\*/", "", sheet.read_text("utf-8"), flags=re.DOTALL)
    for before in [text[: found.start()] for found in re.finditer(r"^@layer", text, re.MULTILINE)]:
        assert before.count("{") == before.count("}"), before[-200:]
    assert text.count("{") == text.count("}")
