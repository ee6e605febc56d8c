"""Alpaca: stocks and coins, on alpaca-py. Imported only where a broker account needs it."""
