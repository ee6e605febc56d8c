"""The simulated market: every price is a pure function of seed, instrument and time."""
