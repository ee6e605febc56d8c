"""The synchronous application that every HTTP request goes through."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "speedtrade.settings")
application = get_wsgi_application()
