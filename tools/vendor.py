"""Fetch the front-end files that are committed under static/ and write down their hashes.

    python tools/vendor.py

Needs the npm client; nobody else does: the files are in the repository. Each package is packed
by npm, its tarball is checked against the registry's integrity, and only the files listed here
are taken. `static/vendor/MANIFEST.json` says where each came from; a test re-hashes them.
htmx is not here: it comes with the django-htmx wheel.
"""

import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

STATIC = Path(__file__).resolve().parent.parent / "static"
MANIFEST = STATIC / "vendor" / "MANIFEST.json"

CHARTS = "lightweight-charts@5.2.1"
CHARTS_BUILD = "dist/lightweight-charts.standalone.production.js"
CHARTS_FOLDER = "vendor/lightweight-charts"
ICONS = "lucide-static@1.62.0"
FONT = "@fontsource-variable/inter@5.3.0"

#: package -> (licence, {file in the package: file below static/})
FILES: dict[str, tuple[str, dict[str, str]]] = {
    CHARTS: (
        "Apache-2.0",
        {
            CHARTS_BUILD: f"{CHARTS_FOLDER}/lightweight-charts.js",
            "LICENSE": f"{CHARTS_FOLDER}/LICENSE",
        },
    ),
    ICONS: ("ISC", {"LICENSE": "vendor/lucide/LICENSE"}),
    FONT: (
        "OFL-1.1",
        {
            "files/inter-latin-wght-normal.woff2": "vendor/inter/inter-latin.woff2",
            "LICENSE": "vendor/inter/LICENSE",
        },
    ),
}
# The tarball has no NOTICE file, though the licence of the charts asks that its words be passed on.
CHARTS_NOTICE = """TradingView Lightweight Charts™
Copyright (c) 2026 TradingView, Inc. https://www.tradingview.com/

Each chart of SpeedTrade carries a visible link to https://www.tradingview.com/.
"""
#: name in our sprite -> name of the icon in lucide
SPRITE = {
    "home": "house",
    "markets": "chart-candlestick",
    "portfolio": "chart-pie",
    "orders": "clipboard-list",
    "activity": "scroll-text",
    "settings": "settings",
    "account": "circle-user",
    "trade": "arrow-left-right",
    "search": "search",
    "star": "star",
    "up": "arrow-up",
    "down": "arrow-down",
    "back": "arrow-left",
    "next": "chevron-right",
    "more": "chevron-down",
    "close": "x",
    "check": "check",
    "copy": "copy",
    "plus": "plus",
    "error": "circle-alert",
    "warn": "triangle-alert",
    "info": "info",
    "ok": "circle-check",
    "bad": "circle-x",
    "clock": "clock",
    "offline": "wifi-off",
    "retry": "refresh-cw",
    "wallet": "wallet",
    "logout": "log-out",
    "sun": "sun",
    "moon": "moon",
    "monitor": "monitor",
    "line": "chart-line",
    "code": "code",
    "lock": "lock",
    "ledger": "scale",
    "live": "zap",
    "partial": "circle-dot",
    "hourglass": "hourglass",
    "ban": "ban",
    "drag": "grip-vertical",
    "edit": "pencil",
    "trash": "trash-2",
    "help": "circle-question-mark",
    "eye": "eye",
    "eye-off": "eye-off",
    "pause": "pause",
    "play": "play",
    "speak": "volume-2",
    "keyboard": "keyboard",
    "list": "list",
    "table": "table",
    "print": "printer",
    "bell": "bell",
    "filter": "list-filter",
    "book": "book-open",
    "chevron-up": "chevron-up",
    "shield": "shield-check",
    "waves": "chart-spline",
    "user": "user",
}


def npm(*arguments: str, cwd: Path) -> Any:
    program = shutil.which("npm")
    if program is None:
        sys.exit("npm is not installed; only whoever updates the vendored files needs it.")
    command = [program, *arguments, "--json"]
    done = subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def fetch(spec: str, folder: Path) -> tuple[tarfile.TarFile, str]:
    """(open tarball, its sha512 as npm writes it); exits when it is not what the registry names."""
    packed = npm("pack", spec, cwd=folder)[0]
    raw = (folder / packed["filename"]).read_bytes()
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(raw).digest()).decode()
    if integrity != npm("view", spec, "dist.integrity", cwd=folder):
        sys.exit(f"{spec}: the tarball is not what the registry promises")
    return tarfile.open(fileobj=io.BytesIO(raw), mode="r:gz"), integrity


def read(tarball: tarfile.TarFile, name: str) -> bytes:
    member = tarball.extractfile(f"package/{name}")
    if member is None:
        sys.exit(f"{name} is not a file of the package")
    return member.read()


def sprite(tarball: tarfile.TarFile) -> bytes:
    """One SVG with a <symbol> per icon; strokes come from the stylesheet's `.icon`."""
    symbols = []
    for name, source in sorted(SPRITE.items()):
        text = read(tarball, f"icons/{source}.svg").decode()
        inner = re.search(r"<svg[^>]*>(.*)</svg>", text, re.DOTALL)
        if inner is None:
            sys.exit(f"icon {source} has no drawing")
        drawing = re.sub(r"\s+", " ", inner[1]).replace("> <", "><").replace(" />", "/>").strip()
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{drawing}</symbol>')
    head = (
        '<svg xmlns="http://www.w3.org/2000/svg"><!-- lucide icons, ISC: vendor/lucide/LICENSE -->'
    )
    return "\n".join([head, *symbols, "</svg>", ""]).encode()


def main() -> None:
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for spec, (licence, files) in FILES.items():
            tarball, integrity = fetch(spec, Path(folder))
            contents = {target: read(tarball, source) for source, target in files.items()}
            if spec == ICONS:
                contents["icons.svg"] = sprite(tarball)
            if spec == CHARTS:
                contents[f"{CHARTS_FOLDER}/NOTICE"] = CHARTS_NOTICE.encode()
            for target, content in sorted(contents.items()):
                path = STATIC / target
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                digest = base64.b64encode(hashlib.sha384(content).digest()).decode()
                rows.append(
                    {
                        "file": target,
                        "bytes": len(content),
                        "sha384": f"sha384-{digest}",
                        "from": spec,
                        "tarball": integrity,
                        "licence": licence,
                    }
                )
    MANIFEST.write_text(json.dumps({"files": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
