"""Backups of the database: made, proved, and put back. docs/operations.md says when."""
