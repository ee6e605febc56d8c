"""What every answer of the house says about itself, whatever it is and whoever asked."""

import re
from typing import Any

CSP = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "object-src 'none'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    "form-action 'self'",
    "connect-src 'self'",
)


def assert_safe_headers(response: Any, where: str = "") -> None:
    """Raise AssertionError where a security header of a response is missing or weak."""
    headers = response.headers
    assert headers.get("X-Content-Type-Options") == "nosniff", where
    assert headers.get("X-Frame-Options") == "DENY", where
    assert headers.get("Referrer-Policy") == "same-origin", where
    assert headers.get("Cross-Origin-Opener-Policy") == "same-origin", where
    assert "camera=()" in headers.get("Permissions-Policy", ""), where
    assert headers.get("X-Request-Id"), where
    assert "no-store" in headers.get("Cache-Control", ""), where
    assert "Server" not in headers and "X-Powered-By" not in headers, where
    policy = [part.strip() for part in headers.get("Content-Security-Policy", "").split(";")]
    assert not [part for part in CSP if part not in policy], (where, policy)
    assert "unsafe" not in headers["Content-Security-Policy"], where


#: What a strict CSP would block in a browser, found without one. JSON in a script is data.
_INLINE = re.compile(
    rb"<script(?![^>]*\bsrc=)(?![^>]*type=[\"']application/json)[^>]*>"
    rb"|<style\b|<[^>]*\sstyle=|<[a-z][^>]*\son[a-z]+=|href=[\"']?javascript:",
    re.IGNORECASE,
)


def assert_nothing_inline(response: Any, where: str = "") -> None:
    """Raise AssertionError where a page holds a script, a style or a handler of its own."""
    if response.headers.get("Content-Type", "").startswith("text/html"):
        found = _INLINE.search(response.content)
        assert not found, (where, found[0][:200] if found else b"")
