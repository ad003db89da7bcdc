"""Who is paired with whom, after what files state. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pools.importing.document import Position, Problem, shown

Stated = Mapping[str, tuple[str, Position]]


def settle(before: Mapping[str, str], stated: Stated) -> tuple[dict[str, tuple[str, Position]], list[Problem]]:
    """Return each front-end pool's partner ("" for none) where a statement concerns it, and the contradictions.

    In: pool -> partner as it is; pool -> (partner, where that is stated). A pairing stated of one pool holds for both;
    a pool that loses its partner to another is left without.
    """
    after: dict[str, tuple[str, Position]] = {}
    problems = list(_contradictions(stated))
    for name, (partner, at) in stated.items():
        for loser in (before.get(name, ""), before.get(partner, "") if partner else ""):
            if loser:
                after.setdefault(loser, ("", at))
        if not partner:
            after[name] = ("", at)
    for name, (partner, at) in stated.items():
        if partner:
            after[name] = (partner, at)
            after[partner] = (name, stated[partner][1] if partner in stated else at)
    return after, problems


def _contradictions(stated: Stated) -> list[Problem]:
    found = []
    claimed: dict[str, str] = {}
    for name, (partner, at) in stated.items():
        if not partner:
            continue
        theirs = stated.get(partner)
        if partner == name:
            found.append(Problem(at, f"found {shown(name)} paired with itself; expected another front-end pool."))
        elif theirs is not None and theirs[0] != name:
            other = f"{shown(partner)} is paired with {shown(theirs[0] or None)} ({theirs[1]})"
            found.append(
                Problem(at, f"found {shown(name)} paired with {shown(partner)}, but {other}. Pairing is mutual.")
            )
        elif claimed.setdefault(partner, name) != name:
            found.append(
                Problem(
                    at, f"found a second front-end pool paired with {shown(partner)}: {shown(claimed[partner])} is too."
                )
            )
    return found
