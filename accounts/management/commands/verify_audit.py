"""`manage.py verify_audit`: whether the audit is as it was written."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.services.audit_chain import audit_verify


class Command(BaseCommand):
    help = "Walk along the chain of hashes over the audit; ends with 1 where a row was changed."

    def handle(self, *args: Any, **options: Any) -> None:
        chain = audit_verify()
        if chain.breaks:
            raise CommandError("\n".join(("The audit was changed.", *chain.breaks)))
        self.stdout.write(f"{chain.links} rows, as they were written. Head: {chain.head or 'none'}")
