"""The demo estate's control, from the other side: for the demo's page and for the tests. Synchronous."""

import http.client
import json
from typing import Any

from a365admin.lab.config import LabConfig
from a365admin.lab.errors import LabError

TIMEOUT_S = 3.0


class LabClient:
    """Breaks and mends things in a running demo estate. Each method returns the state after it (see `Estate.state`).

    Each raises LabError, with a sentence for the user: the demo does not run, or there is no such server or fault.
    """

    def __init__(self, config: LabConfig) -> None:
        self._control = config.control

    def state(self) -> dict[str, Any]:
        """Every server with its faults."""
        return self._ask("GET", "/state")

    def set_fault(self, target: str, fault: str, on: bool = True) -> dict[str, Any]:
        """In: a server's name ("SRV1", "dns2"), a fault or "start_ucc"/"stop_ucc". It has happened on return."""
        return self._ask("POST", "/fault", {"target": target, "fault": fault, "on": on})

    def edit(self, hostname: str, target: str, *, ttl_s: int | None = None) -> dict[str, Any]:
        """Change a hostname's record in DNS by hand, behind a365admin's back. In: both as FQDN; a TTL, if not usual."""
        ttl = {} if ttl_s is None else {"ttl_s": ttl_s}
        return self._ask("POST", "/edit", {"hostname": hostname, "target": target, **ttl})

    def remove(self, hostname: str) -> dict[str, Any]:
        """Delete a hostname's record from DNS by hand, behind a365admin's back."""
        return self._ask("POST", "/remove", {"hostname": hostname})

    def reset(self, *, start_over: bool = False) -> dict[str, Any]:
        """Mend everything. With `start_over` DNS records and started UCC services too are as in an untouched demo."""
        return self._ask("POST", "/reset", {"start_over": start_over})

    def _ask(self, method: str, path: str, document: dict[str, Any] | None = None) -> dict[str, Any]:
        connection = http.client.HTTPConnection(self._control.address, self._control.port, timeout=TIMEOUT_S)
        headers = {"Authorization": f"Bearer {self._control.token}", "Content-Type": "application/json"}
        body = json.dumps(document) if document is not None else None
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise LabError(
                f"The demo estate does not answer on {self._control.address} port {self._control.port} ({error}). "
                "Is it running? `manage.py up` starts it."
            ) from error
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise LabError(str(answer.get("error", f"The demo estate answered {response.status}.")))
        return answer
