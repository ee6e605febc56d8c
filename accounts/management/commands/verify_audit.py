"""`manage.py verify_audit`: whether the audit is as it was written."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts.services.audit_chain import audit_seal_late, audit_verify
from speedtrade.lib.errors import DomainError


class Command(BaseCommand):
    help = "Walk along the chain of hashes over the audit; ends with 1 where a row was changed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--seal-late", metavar="WHY", help="seal rows that the chain has passed by; looked at"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["seal_late"] is not None:
            try:
                count = audit_seal_late(reason=options["seal_late"], now=timezone.now())
            except DomainError as error:
                raise CommandError(error.detail) from error
            self.stdout.write(f"{count} rows that came late are sealed.")
        chain = audit_verify()
        if chain.breaks:
            raise CommandError("\n".join(("The audit was changed.", *chain.breaks)))
        self.stdout.write(f"{chain.links} rows, as they were written. Head: {chain.head or 'none'}")
