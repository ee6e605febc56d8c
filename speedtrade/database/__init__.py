"""The engine of settings.DATABASES: Django's for PostgreSQL, with a cheaper health check."""
