"""`make bench`: every figure about speed that is promised, beside its floor, in one run."""
