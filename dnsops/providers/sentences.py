"""One sentence for each way a change can go: what happened, whether DNS changed, what to do."""

from __future__ import annotations

from dnsops.plan import Change
from dnsops.providers.base import OutcomeKind

NOT_SIGNED = "the answer is not signed"

_BY_RCODE = {
    "REFUSED": (
        "{server} refused the change (REFUSED). Nothing was changed. Allow {signer} to change {name} on {server}, "
        "and check that {server} is a primary of {zone}."
    ),
    "NOTAUTH": (
        "{server} does not serve zone {zone} (NOTAUTH). Nothing was changed. Choose a writer that is a primary of "
        "{zone}, or correct the zone's name."
    ),
    "NOTZONE": (
        "{server} says that {name} is not in zone {zone} (NOTZONE). Nothing was changed. Correct the zone's name."
    ),
    "NOTIMP": (
        "{server} does not take dynamic updates (NOTIMP). Nothing was changed. Switch them on there, or choose "
        "another writer."
    ),
    "BADKEY": (
        "{server} does not know {signer}, or not for this (BADKEY). Nothing was changed. Compare its name and "
        "algorithm here with those on {server}."
    ),
    "BADSIG": "The secret of {signer} here is not the one on {server} (BADSIG). Nothing was changed. Copy it again.",
    "BADTIME": (
        "The clocks of this machine and {server} differ by more than 5 minutes (BADTIME). Nothing was changed. Set "
        "both by NTP."
    ),
    "SERVFAIL": (
        "{server} could not make the change (SERVFAIL). Nothing was changed. Its log says why: {zone} may be "
        "read-only there, the disk full, or permission missing."
    ),
    "FORMERR": (
        "{server} could not read the change (FORMERR). Nothing was changed. Something between us and {server} may "
        "be altering DNS messages."
    ),
}

_UNSIGNED_NO = (
    "{server} refused the change, unsigned (REFUSED): if it is to be believed, nothing was changed. PowerDNS says so "
    "to a key that it does not know, a wrong secret and a wrong clock alike: compare {signer} on both sides, and "
    "the clocks; then see whether it may change {name} there."
)

_ACCOUNT_SERVFAIL = (
    "{server} could not make the change (SERVFAIL). Nothing was changed. Samba says so where {signer} may not write "
    "{name}: give it the right to write that record. Otherwise the server's log says why."
)

_BY_KIND = {
    OutcomeKind.APPLIED: "{server} made the change: {name} is now {new}.",
    OutcomeKind.ALREADY: "{name} is {new} on {server} already.",
    OutcomeKind.READY: "{server} accepts our key. Nothing was changed.",
    OutcomeKind.BY_HAND: "{name} has to be changed to {new} on {server} by hand. So far nothing was changed.",
    OutcomeKind.CONFLICT: (
        "{name} is no longer {old} on {server} ({rcode}), so the change was not made. Somebody changed it in the "
        "meantime: look again."
    ),
    OutcomeKind.DENIED: "{server} refused the change ({rcode}). Nothing was changed. Allow {signer} to change {name}.",
    OutcomeKind.AUTH: (
        "{server} did not accept {signer} ({problem}). Nothing was changed. Compare the key on both sides."
    ),
    OutcomeKind.CLOCK: "The clocks of this machine and {server} differ too much. Nothing was changed. Set both by NTP.",
    OutcomeKind.CONFIG: "{server} cannot change {zone} ({rcode}). Nothing was changed. Check the zone and its writer.",
    OutcomeKind.SERVER: "{server} could not make the change ({rcode}). Nothing was changed. Its log says why.",
    OutcomeKind.UNREACHABLE: (
        "{server} could not be reached ({problem}), so nothing was sent and nothing was changed. Check the server, "
        "and TCP port 53 on the way to it."
    ),
    OutcomeKind.UNKNOWN: (
        "The change was sent to {server}, but {problem}. It may or may not have been made: the record is read to "
        "find out."
    ),
}


_CREATING = (
    "Something is at {name} on {server} by now ({rcode}), so nothing was created and nothing was changed. Look again."
)


def sentence(kind: OutcomeKind, rcode: str, *, server: str, change: Change, signer: str, problem: str = "") -> str:
    """Put an outcome into words. ``problem`` says more where there was no proper answer."""
    template = _BY_KIND[kind] if kind is OutcomeKind.UNKNOWN else _BY_RCODE.get(rcode, _BY_KIND[kind])
    if kind is OutcomeKind.CONFLICT and change.expected.is_absent:
        template = _CREATING
    if rcode == "SERVFAIL" and signer.startswith("account "):
        template = _ACCOUNT_SERVFAIL
    if problem == NOT_SIGNED and rcode == "REFUSED" and kind is OutcomeKind.DENIED:
        template, problem = _UNSIGNED_NO, ""
    text = template.format(
        server=server,
        name=change.name,
        zone=change.zone,
        signer=signer,
        old=change.expected,
        new=change.new,
        rcode=rcode or "no code",
        problem=problem or "no answer came",
    )
    unsigned = problem and kind not in {OutcomeKind.UNKNOWN, OutcomeKind.UNREACHABLE, OutcomeKind.AUTH}
    return f"{text} ({problem[0].upper()}{problem[1:]}.)" if unsigned else text
