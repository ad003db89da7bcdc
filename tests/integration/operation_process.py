"""A process of its own with a database of its own, which carries out operations in children that may be killed.

Started by ``test_executor_kill.py`` with the demo's lab.json; takes one JSON command a line, answers one JSON a line.
It has no threads, so that it may fork.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main() -> None:
    """Set up Django and the estate once, then do what is asked until the input ends."""
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    settings.DNSOPS = {"max_ttl_wait_s": 0.2, "verify_max_s": 2.0, "read_back_timeout_s": 0.5, "write_timeout_s": 1.5}
    call_command("migrate", verbosity=0)
    from a365admin.accounts.models import Role, User
    from a365admin.lab.config import load_config
    from a365admin.lab.seed import seed_estate

    seed_estate(load_config(Path(sys.argv[1])))
    User.objects.create_user(username="otto", role=Role.OPERATOR)
    say({"ready": True})
    for line in sys.stdin:
        command = json.loads(line)
        try:
            say(globals()[f"do_{command.pop('do')}"](**command))
        except Exception:  # noqa: BLE001 - the other side raises it
            say({"error": traceback.format_exc()})


def say(answer: dict[str, Any]) -> None:
    """One line."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def do_request(fqdn: str, to: str) -> dict[str, Any]:
    """Look and click; the broker is not there, so nobody is told."""
    from a365admin.accounts.models import User
    from dnsops import services
    from dnsops.lifecycle import OperationKind
    from pools.models import DedicatedHostname, Server

    hostname = DedicatedHostname.objects.get(fqdn=fqdn)
    server = Server.objects.get(name=to)
    seen = services.preflight(hostname=hostname, kind=OperationKind.FAILOVER, to_server=server)
    if seen.blocked:
        return {"error": f"{seen.plan_error} {[f.sentence for f in seen.blocking]}"}
    operation = services.request_failover(
        user=User.objects.get(username="otto"),
        hostname=hostname,
        kind=OperationKind.FAILOVER,
        to_server_id=server.pk,
        digest=seen.digest,
        reason="kill test",
        idempotency_key=uuid.uuid4().hex,
    )
    return {"id": str(operation.pk), "state": operation.state, "result": operation.result}


def do_provider(slug: str) -> dict[str, Any]:
    """Choose how the demo's zone is changed."""
    from dnsops.models import Zone

    return {"rows": Zone.objects.update(provider=slug)}


def do_request_killed(fqdn: str, to: str, kill_at: str) -> dict[str, Any]:
    """Click in a child that is killed; return the signal, and what the sweeper would nudge afterwards."""
    from django.utils import timezone

    from dnsops import claims

    status = in_child(lambda: do_request(fqdn, to), kill_at)
    return {"signal": os.WTERMSIG(status), "due": claims.due(timezone.now(), pending_for_s=0.0)}


def in_child(job: Callable[[], object], kill_at: str) -> int:
    """Do it in a child, killed at that point (or not); return how the child ended, as ``os.waitpid`` says it."""
    from django.db import connections

    connections.close_all()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.environ["A365_KILL_AT"] = kill_at
            job()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1]


def do_run(id: str, kill_at: str = "") -> dict[str, Any]:  # noqa: A002 (the protocol's word)
    """Carry it out in a child; return the signal that ended the child, 0 for none."""
    from dnsops import executor

    status = in_child(lambda: executor.run_to_end(id, owner=f"child {os.getpid()}"), kill_at)
    return {"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, "code": os.waitstatus_to_exitcode(status)}


def do_age(id: str, by_s: float = 1) -> dict[str, Any]:  # noqa: A002
    """As when it has waited for a worker for so long; after a second it gets a second look."""
    from datetime import timedelta

    from django.utils import timezone

    from dnsops.models import FailoverOperation

    then = timezone.now() - timedelta(seconds=by_s)
    return {"rows": FailoverOperation.objects.filter(pk=id).update(created_at=then)}


def do_expire(id: str) -> dict[str, Any]:  # noqa: A002
    """As when the lease of whoever had it has run out."""
    from django.utils import timezone

    from dnsops.models import FailoverOperation

    return {"rows": FailoverOperation.objects.filter(pk=id, state="running").update(lease_until=timezone.now())}


def do_report(id: str) -> dict[str, Any]:  # noqa: A002
    """Everything that the rows say."""
    from a365admin.audit.models import AuditEntry
    from dnsops.models import FailoverOperation

    operation = FailoverOperation.objects.get(pk=id)
    return {
        "state": operation.state,
        "result": operation.result,
        "steps": {step.kind: step.state for step in operation.steps.all()},
        "changes": [change.outcome for change in operation.dns_changes.all()],
        "ended_entries": AuditEntry.objects.filter(action="operation.ended", object_id=id).count(),
    }


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main()
