"""The product's settings, less what would be measured instead of the product.

Rates of one user are no rates of the machine, and a password is no part of an order. The addresses
are the product's and one view that does nothing.
"""

import os
from datetime import timedelta

from speedtrade.settings import *  # noqa: F403

ROOT_URLCONF = "tests.bench.urls"
RATE_API_PER_USER = RATE_ORDERS_PER_USER = RATE_PAGES_PER_USER = "1000000/second"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ACCESS_TOKEN_LIFETIME = timedelta(hours=6)
if "BENCH_FLUSH_MS" in os.environ:
    WS_FLUSH_PERIOD = timedelta(milliseconds=int(os.environ["BENCH_FLUSH_MS"]))
    WS_FLUSH_LONGEST = WS_FLUSH_PERIOD
