"""`manage.py rotate_key NAME [--finish]`: a new key in front of the former one, then alone."""

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from speedtrade.datafolder import write_private
from speedtrade.env import env_given, read_json
from speedtrade.keys import LOSSES, NAMES, begun, finished, former, key_fresh


class Command(BaseCommand):
    help = "Change SECRET_KEY, JWT_SIGNING_KEY or FIELD_KEYS, without logging anybody out."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", choices=NAMES)
        parser.add_argument("--finish", action="store_true", help="take the former key away")

    def handle(self, *args: Any, **options: Any) -> None:
        name, finish, values = options["name"], options["finish"], _values()
        changed = finished(name, values) if finish else begun(name, values, key_fresh(name))
        if finish and not former(name, values):
            raise CommandError(f"There is no former {name} to take away: begin without --finish.")
        in_folder = _in_folder(list(changed))
        if finish and name == "FIELD_KEYS":
            call_command("rotate_broker_keys", stdout=self.stdout)  # raises where one is left
        self._keep(changed, in_folder=in_folder)
        if finish:
            self.stdout.write("Restart every process; then the former key counts no more.")
            return
        self.stdout.write(f"Restart every process. Take the former key away {LOSSES[name].wait}:")
        self.stdout.write(f"  manage.py rotate_key {name} --finish")
        self.stdout.write(f"Sooner, {LOSSES[name].loss}.")

    def _keep(self, changed: dict[str, str], *, in_folder: bool) -> None:
        """Into the data folder where the keys come from there, else tell what to set."""
        if in_folder:
            path = settings.DATA_DIR / "secrets.json"
            write_private(path, dict(read_json(path)) | changed)
            self.stdout.write(f"Written: {', '.join(changed)}.")
            return
        self.stdout.write("Set, where your secrets are kept (.env, or the files that *_FILE name):")
        for variable, value in changed.items():
            self.stdout.write(f"  {variable}={value}")


def _in_folder(variables: list[str]) -> bool:
    """Whether these come from the data folder; raises CommandError where only some of them do."""
    if settings.PRODUCTION:
        return False
    known = read_json(settings.DATA_DIR / "secrets.json")
    given = [name for name in variables if env_given(name)]
    kept = [name for name in variables if name not in given and known.get(name)]
    if given and kept:
        raise CommandError(
            f"{given[0]} comes from the environment and {kept[0]} from the data folder. Keep both "
            "in one place first: what is written to the folder is not read while the environment "
            "says it."
        )
    return bool(kept)


def _values() -> dict[str, str]:
    return {
        "SECRET_KEY": str(settings.SECRET_KEY),
        "SECRET_KEY_FALLBACKS": ",".join(map(str, settings.SECRET_KEY_FALLBACKS)),
        "JWT_SIGNING_KEY": settings.JWT_SIGNING_KEY,
        "JWT_SIGNING_KEY_FALLBACKS": ",".join(settings.JWT_SIGNING_KEY_FALLBACKS),
        "FIELD_KEYS": ",".join(settings.FIELD_KEYS),
    }
