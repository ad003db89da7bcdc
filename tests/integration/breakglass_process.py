"""A break-glass failover in a process of its own, which may be killed: no Django, no database, nothing but the bundle.

``python -m tests.integration.breakglass_process FOLDER JOURNAL HOSTNAME``; prints how it ended.
"""

from __future__ import annotations

import sys
import uuid
from dataclasses import replace
from pathlib import Path

from dnsops.breakglass import files, looking
from dnsops.breakglass.acting import Attempt
from dnsops.breakglass.journal import Journal


def main(folder: Path, path: Path, name: str) -> str:
    """Look and act; return the end, or why there is no plan."""
    key = files.read_key(folder / "key")
    bundle = files.read_bundle(folder / "bundle.json", key)
    bundle = replace(bundle, policy={**bundle.policy, "ask_timeout_s": 5.0})  # a busy machine is not what is tested
    seen = looking.look(bundle, bundle.hostname(name), to="SRV2")
    if seen.plan is None:
        return seen.plan_error
    with Journal(path, key) as journal:
        attempt = Attempt(str(uuid.uuid4()), bundle, seen, seen.plan, journal, lambda _: None)
        return attempt.carry_out(by="test", reason="kill test", ticket="", forced=[]).state.value


if __name__ == "__main__":
    assert "django" not in sys.modules
    sys.stdout.write(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]) + "\n")
