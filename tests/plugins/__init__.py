"""Plugins for pytest, loaded by ``manage.py test`` with ``-p``."""
