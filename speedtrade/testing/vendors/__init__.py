"""Loopback vendors: servers that speak as the vendors do, for tests and for developers."""
