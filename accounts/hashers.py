"""The password hasher of the house."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class HouseArgon2Hasher(Argon2PasswordHasher):
    """Argon2id at the OWASP minimum of 19 MiB, two passes, one lane.

    Django's default takes 100 MiB and half a second a log-in, which a small server cannot give to
    many at once (OWASP Password Storage Cheat Sheet names 19 MiB, t=2, p=1).
    """

    time_cost = 2
    memory_cost = 19 * 1024
    parallelism = 1
