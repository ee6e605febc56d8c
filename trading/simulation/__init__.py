"""A whole house in one process, by a seed: the product's own services, venue and sweepers on a
clock, a power line and a queue that dice decide. `manage.py simulate` runs it; docs/reliability.md.
"""
