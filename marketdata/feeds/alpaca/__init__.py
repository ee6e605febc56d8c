"""Stocks from Alpaca: streamed while somebody looks, snapshots otherwise."""
