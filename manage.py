#!/usr/bin/env python3
"""Django's manage.py, which also sets itself up: ``python3 manage.py up`` needs nothing but a Python.

This file and ``a365admin/bootstrap.py`` have to be read by the oldest ``python3`` around (3.7), so that it can say what
is wrong or hand over to a newer one. Django comes in only when its environment is there.
"""

import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent


def _bootstrap() -> None:
    """Continue inside the environment; loaded by path, because the package itself needs what is installed there."""
    spec = importlib.util.spec_from_file_location("a365admin_bootstrap", str(ROOT / "a365admin" / "bootstrap.py"))
    if spec is None or spec.loader is None:
        sys.exit("a365admin/bootstrap.py is missing: this copy of the program is incomplete.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    module.enter_environment(ROOT, sys.argv)


def main() -> None:
    """Set up where needed, then run the management command."""
    _bootstrap()
    if sys.argv[1:2] == ["test"]:
        os.environ.setdefault("A365_ENV", "test")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "a365admin.settings")
    try:
        from django.core.management import execute_from_command_line
    except ImportError:
        sys.exit(
            "Django is not installed in this environment ({}). Run: {} -m pip install -r requirements.txt".format(
                sys.prefix, sys.executable
            )
        )
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
