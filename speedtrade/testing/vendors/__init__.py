"""Vendors on the loopback: they speak as the real ones are documented to, with their own truth."""
