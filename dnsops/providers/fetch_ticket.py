"""Fetch Kerberos tickets from a keytab, in a process of its own: ``python -I fetch_ticket.py`` with JSON on stdin.

A KDC that falls silent blocks the Kerberos library for up to half a minute, deep inside C. A process can be ended at a
deadline, a thread cannot; and the configuration (``KRB5_CONFIG``) is the process's own, so that nothing else that
uses Kerberos is disturbed. Needs nothing but gssapi.

In: ``{"principal": …, "keytab": path, "spn": "DNS/host@REALM", "ccache": path}``. Out: ``{"lifetime_s": …}``, or
``{"error": the library's words, "code": MIT's number of the error}``.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def fetch(principal: str, keytab: str, spn: str, ccache: str) -> dict[str, Any]:
    """Get a ticket for ``spn`` into the file ``ccache``."""
    import gssapi

    kerberos = gssapi.MechType.kerberos
    try:
        credentials = gssapi.Credentials(
            name=gssapi.Name(principal, gssapi.NameType.kerberos_principal),
            usage="initiate",
            store={"client_keytab": f"FILE:{keytab}", "ccache": f"FILE:{ccache}"},
            mechs=[kerberos],
        )
        # Without mutual authentication the context is complete after one step, and knows how long the ticket lives.
        context = gssapi.SecurityContext(
            name=gssapi.Name(spn, gssapi.NameType.kerberos_principal),
            creds=credentials,
            usage="initiate",
            mech=kerberos,
            flags=gssapi.RequirementFlag.integrity,
        )
        context.step()
        return {"lifetime_s": int(context.lifetime)}
    except gssapi.exceptions.GSSError as error:
        code = error.min_code - (1 << 32) if error.min_code >= 1 << 31 else error.min_code
        return {"error": str(error), "code": code}


def main() -> None:
    """Do what stdin says."""
    json.dump(fetch(**json.load(sys.stdin)), sys.stdout)


if __name__ == "__main__":
    main()
