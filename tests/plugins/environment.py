"""Settings of the suite's own, in a folder of its own, before pytest-django reads them (``-p`` in pyproject.toml).

An absolute must: the suite never touches the database, the keys or the demo of a running installation.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_var = Path(tempfile.mkdtemp(prefix="a365-test-"))
(_var / "static").mkdir()
atexit.register(shutil.rmtree, _var, ignore_errors=True)

os.environ["A365_ENV"] = "test"
os.environ["A365_VAR"] = str(_var)
os.environ.pop("A365_LAB", None)
