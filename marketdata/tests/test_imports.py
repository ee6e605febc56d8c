"""What the web process carries."""

import subprocess
import sys


def test_the_web_process_imports_no_heavy_library():
    code = (
        "import sys, speedtrade.asgi\n"
        "heavy = {'pandas', 'numpy', 'ccxt', 'alpaca'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_a_feed_is_imported_only_when_it_is_asked_for():
    code = (
        "import sys, speedtrade.asgi\n"
        "from marketdata.feeds import registry\n"
        "assert registry.feeds_running()[0].label == 'Simulated'\n"
        "assert not {'numpy', 'pandas', 'ccxt', 'alpaca'} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
