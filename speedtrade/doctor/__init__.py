"""The production checklist as code: each check says pass, warn, fail or skip, and what to do."""
