#!/usr/bin/env python
"""Django's command-line door."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "speedtrade.settings")
    from django.core.management import execute_from_command_line

    from speedtrade.env import BadSetting

    try:
        execute_from_command_line(sys.argv)
    except BadSetting as error:
        sys.exit(str(error))  # a sentence for whoever set it, not a traceback


if __name__ == "__main__":
    main()
