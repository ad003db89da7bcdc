"""What ``manage.py test`` is made of: system packages, gates, a temporary PostgreSQL, and pytest."""
