"""Static files of production: hashed names, also for the modules that our scripts import.

Django rewrites CSS addresses; its own switch for JavaScript would also read vendored files, whose
comments and strings look like imports and name files that do not exist. Only static/js is ours.
"""

from whitenoise.storage import CompressedManifestStaticFilesStorage

_IMPORT = (r"""(?P<matched>from\s+"(?P<url>\./[^"]+)")""", 'from "%(url)s"')


class HouseStaticStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """WhiteNoise's manifest storage; a module never meets an older one of another release."""

    patterns = (*CompressedManifestStaticFilesStorage.patterns, ("js/*.js", (_IMPORT,)))
