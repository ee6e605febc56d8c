"""What every answer of the house says about itself, whatever it is and whoever asked."""

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
