"""What the portfolio plugs into the apps below it, at start."""


def register() -> None:
    """Filled in by the services that need it."""
