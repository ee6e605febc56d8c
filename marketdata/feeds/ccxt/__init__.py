"""Coins from any exchange of the allow-list that ccxt speaks to."""
