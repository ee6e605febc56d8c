"""What a new password must be, rule by rule: for the page that shows them while one is typed."""

from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.password_validation import get_default_password_validators
from django.core.exceptions import ValidationError

from accounts.models import User

#: validator -> the rule in words, as something to reach
_WORDS = {
    "MinimumLengthValidator": f"At least {settings.PASSWORD_MIN_LENGTH} characters",
    "UserAttributeSimilarityValidator": "Not like your name or e-mail",
    "CommonPasswordValidator": "Not one that many people use",
    "NumericPasswordValidator": "Not digits alone",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule, and whether a password meets it; None before anything was typed."""

    words: str
    met: bool | None


def password_rules(*, password: str, username: str, email: str) -> list[Rule]:
    """The validators of the settings, one rule each. Registering asks the same ones."""
    # A longer one is refused anyway, and comparing it costs what its length says.
    password = password[: settings.PASSWORD_MAX_LENGTH + 1]
    user = User(username=username[:254], email=email[:254])
    rules = []
    for validator in get_default_password_validators():
        words = _WORDS.get(type(validator).__name__) or validator.get_help_text()
        rules.append(Rule(words, _met(validator, password, user) if password else None))
    return rules


def _met(validator: object, password: str, user: User) -> bool:
    try:
        validator.validate(password, user)  # type: ignore[attr-defined]  # any of the settings
    except ValidationError:
        return False
    return True
