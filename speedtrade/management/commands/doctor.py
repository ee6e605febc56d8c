"""`manage.py doctor [--json]`: the production checklist; exit 1 where something fails."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from speedtrade.doctor.table import Finding, examine, failed


class Command(BaseCommand):
    help = "Go through the production checklist: pass, warn, fail or skip, and the remedy of each."
    requires_system_checks: list[str] = []  # it says itself what is wrong

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object, for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        findings = examine(timezone.now())
        if options["json"]:
            self.stdout.write(json.dumps({"ok": not failed(findings), "checks": _rows(findings)}))
        else:
            for finding in findings:
                self._tell(finding)
        if failed(findings):
            sys.exit(1)

    def _tell(self, finding: Finding) -> None:
        verdict = finding.verdict
        self.stdout.write(f"{verdict.level:5} {finding.check.title}: {verdict.words}")
        if verdict.remedy:
            self.stdout.write(f"      -> {verdict.remedy}")


def _rows(findings: list[Finding]) -> list[dict[str, str]]:
    return [
        {
            "name": finding.check.name,
            "level": finding.verdict.level,
            "words": finding.verdict.words,
            "remedy": finding.verdict.remedy,
        }
        for finding in findings
    ]
