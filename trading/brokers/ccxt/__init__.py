"""Exchanges through ccxt. Only workers load this: the package costs half a second and 80 MB."""
