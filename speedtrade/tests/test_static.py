"""What is served from static/: vendored files are untouched, ours stay small."""

import base64
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.storage import FileSystemStorage

from speedtrade.lib.staticfiles import HouseStaticStorage

STATIC = Path(settings.BASE_DIR) / "static"
ROWS: list[dict[str, Any]] = json.loads((STATIC / "vendor/MANIFEST.json").read_text())["files"]
CSS_BUDGET = 12 * 1024  # bytes of all style sheets of a page together, compressed
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
    others = {"admin.css", "api-docs.css"}  # no page of a user loads these
    sheets = [s for s in (STATIC / "css").glob("*.css") if s.name not in others]
    assert len(sheets) == 5
    assert sum(len(gzip.compress(sheet.read_bytes())) for sheet in sheets) <= CSS_BUDGET


def test_every_script_of_ours_is_short() -> None:
    scripts = sorted((STATIC / "js").glob("*.js"))
    assert scripts
    assert [s.name for s in scripts if len(s.read_text().splitlines()) > JS_LINES] == []


def test_production_hashes_the_modules_that_scripts_import(tmp_path: Path) -> None:
    storage = HouseStaticStorage(location=tmp_path, base_url="/static/")
    source = FileSystemStorage(location=STATIC)
    paths = {
        f"js/{script.name}": (source, f"js/{script.name}") for script in STATIC.glob("js/*.js")
    }
    for path in paths:
        storage.save(path, source.open(path))
    list(storage.post_process(paths))
    done = storage.hashed_files
    text = (tmp_path / done["js/quotes.js"]).read_text()
    assert f'from "./{Path(done["js/socket.js"]).name}"' in text
    assert f'from "./{Path(done["js/format.js"]).name}"' in text
    inner = (tmp_path / done["js/format.js"]).read_text()
    assert f'from "./{Path(done["js/formats.js"]).name}"' in inner
