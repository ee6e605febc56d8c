"""allauth's `account` app without its pages: `allauth.mfa` imports its models and no more."""

from allauth.account.apps import AccountConfig


class AllauthAccountConfig(AccountConfig):
    """Its middleware serves its own log-in pages. None of them is mounted, so it is left out."""

    default = False

    def ready(self) -> None:
        """Nothing: the parent's demands the middleware."""
