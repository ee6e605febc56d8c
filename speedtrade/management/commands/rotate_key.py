"""`manage.py rotate_key NAME [--finish]`: a new key in front of the former one, then alone."""

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from speedtrade.datafolder import write_private
from speedtrade.env import read_json
from speedtrade.keys import LOSSES, NAMES, begun, finished, key_fresh


class Command(BaseCommand):
    help = "Change SECRET_KEY, JWT_SIGNING_KEY or FIELD_KEYS, without logging anybody out."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", choices=NAMES)
        parser.add_argument("--finish", action="store_true", help="take the former key away")

    def handle(self, *args: Any, **options: Any) -> None:
        name, finish = options["name"], options["finish"]
        if finish and name == "FIELD_KEYS":
            call_command("rotate_broker_keys", stdout=self.stdout)  # raises where one is left
        changed = finished(name, _values()) if finish else begun(name, _values(), key_fresh(name))
        self._keep(changed)
        if finish:
            self.stdout.write("Restart every process; then the former key counts no more.")
            return
        self.stdout.write(f"Restart every process. Take the former key away {LOSSES[name].wait}:")
        self.stdout.write(f"  manage.py rotate_key {name} --finish")
        self.stdout.write(f"Sooner, {LOSSES[name].loss}.")

    def _keep(self, changed: dict[str, str]) -> None:
        """Into the data folder where the keys come from there, else tell what to set."""
        path = settings.DATA_DIR / "secrets.json"
        known = {} if settings.PRODUCTION else dict(read_json(path))
        if known.get("SECRET_KEY") == settings.SECRET_KEY:
            write_private(path, known | changed)
            self.stdout.write(f"Written: {', '.join(changed)}.")
            return
        self.stdout.write("Set, where your secrets are kept (.env, or the files that *_FILE name):")
        for variable, value in changed.items():
            self.stdout.write(f"  {variable}={value}")


def _values() -> dict[str, str]:
    return {
        "SECRET_KEY": str(settings.SECRET_KEY),
        "SECRET_KEY_FALLBACKS": ",".join(map(str, settings.SECRET_KEY_FALLBACKS)),
        "JWT_SIGNING_KEY": settings.JWT_SIGNING_KEY,
        "JWT_SIGNING_KEY_FALLBACKS": ",".join(settings.JWT_SIGNING_KEY_FALLBACKS),
        "FIELD_KEYS": ",".join(settings.FIELD_KEYS),
    }
