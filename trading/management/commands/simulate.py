"""`manage.py simulate`: lives of the whole house by seed, on a PostgreSQL of their own.

It starts that server in a folder of its own and ends both, so it meets no row, key or queue of the
installation. The same seed is the same life everywhere: its hash says so.
"""

import json
import os
import signal
import sys
import time
from argparse import SUPPRESS
from contextlib import closing, nullcontext
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from trading.simulation.figures import convergence_told
from trading.simulation.scratch import PREFIX, run_all, scratch


class Command(BaseCommand):
    help = "Simulate the house by seed, with every fault, and look at its promises after each step."
    requires_system_checks: list[str] = []  # it asks nothing of this installation

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--seed", type=int, help="one seed; tells its story")
        which.add_argument("--seeds", help="a span such as 0..9999")
        parser.add_argument("--days", type=float, default=3.0, help="simulated days of each seed")
        parser.add_argument("--trace", help="a file for every step, as JSON lines")
        parser.add_argument("--stop-on-fail", action="store_true", help="end at the first failure")
        parser.add_argument("--hashes", action="store_true", help="print the hash of each seed")
        parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
        parser.add_argument("--inside", action="store_true", help=SUPPRESS)
        parser.add_argument("--of", default="0/1", help=SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        seeds = span(options)
        if options["inside"]:
            self._inside(seeds, options)
        else:
            self._outside(seeds, options)

    # ── the process that was asked ───────────────────────────────────────────
    def _outside(self, seeds: range, options: dict[str, Any]) -> None:
        workers = 1 if options["trace"] else max(min(options["workers"], len(seeds)), 1)
        words = ["--seeds", f"{seeds.start}..{seeds.stop - 1}", "--days", f"{options['days']:g}"]
        if options["trace"]:
            words += ["--trace", os.path.abspath(options["trace"])]
        each = [[*words, "--of", f"{number}/{workers}"] for number in range(workers)]
        failed, steps, took = 0, 0, list[tuple[float, bool]]()
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # and tidy up
        with scratch(workers) as places, closing(run_all(each, places)) as lines:
            began = time.monotonic()
            try:
                for line in lines:
                    steps, failed = steps + line["steps"], failed + bool(line["told"])
                    took.append((line["converged"], line["absent"]))
                    self._say(line, options)
                    if line["told"] and options["stop_on_fail"]:
                        break
            finally:  # whoever ends it early hears what there was until then
                pace = len(took) * options["days"] / (time.monotonic() - began) * 60
                self.stdout.write(
                    f"{len(took)} seeds of {options['days']:g} days, {steps} steps: {failed} "
                    f"failed. {convergence_told(took)} {pace:.0f} simulated days a minute."
                )
        if failed:
            raise CommandError(f"{failed} of {len(took)} seeds broke a promise.")

    def _say(self, line: dict[str, Any], options: dict[str, Any]) -> None:
        if options["hashes"] or options["seed"] is not None:
            self.stdout.write(f"{line['seed']} {line['identity']}")
        if line["told"]:
            self.stderr.write(line["told"])

    # ── its workers ──────────────────────────────────────────────────────────
    def _inside(self, seeds: range, options: dict[str, Any]) -> None:
        name = settings.DATABASES["default"]["NAME"]
        if settings.PRODUCTION or not name.startswith(PREFIX):
            raise CommandError(f"{name} is no scratch database: leave --inside away.")
        from trading.simulation.running import cast_ensure, run

        number, _, workers = options["of"].partition("/")
        trace = options["trace"]
        with open(trace, "w") if trace else nullcontext() as out:
            cast = cast_ensure()
            for seed in seeds[int(number) :: int(workers)]:
                made = run(seed, days=options["days"], cast=cast, out=out)
                line = {
                    "seed": seed,
                    "steps": made.steps,
                    "identity": made.identity,
                    "converged": made.converged,
                    "absent": made.absent,
                    "told": made.told() if made.violation else "",
                }
                self.stdout.write(json.dumps(line))
                self.stdout.flush()


def span(options: dict[str, Any]) -> range:
    """The seeds that were asked for; raises CommandError for what is no span."""
    if options["seed"] is not None:
        return range(options["seed"], options["seed"] + 1)
    first, _, last = options["seeds"].partition("..")
    try:
        found = range(int(first), int(last or first) + 1)
    except ValueError as error:
        raise CommandError("Write the seeds as 0..9999.") from error
    if not found:
        raise CommandError("The span holds no seed.")
    return found
