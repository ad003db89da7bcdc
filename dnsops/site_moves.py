"""Moving a site: look, decide, stop, resume. Each is in the audit log; the members are ordinary operations."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from django.db import IntegrityError, transaction
from django.utils import timezone

from a365admin.accounts.models import User
from a365admin.accounts.permissions import Capability, may
from a365admin.audit import services as audit
from a365admin.audit.context import acting
from a365admin.audit.models import Outcome as AuditOutcome
from dnsops import site_driver, tasks
from dnsops.models import SiteMove, SiteMoveMember
from dnsops.move_models import MemberState, MoveState
from dnsops.plan import PlanError
from dnsops.requesting import BROKER_LOST, RequestRefused
from dnsops.site_gathering import Scope, gather_move, refusal_of_together
from dnsops.site_plan import AT_ONCE_CHOICES, Direction, Entry, SitePlan
from pools import live


def request_move(
    *,
    user: User,
    scope: Scope,
    direction: Direction,
    shown: Collection[str],
    at_once: int,
    together: bool,
    stop_at_failure: bool = False,
    reason: str,
    ticket: str = "",
    idempotency_key: str,
    forced: bool = False,
    typed: str = "",
) -> SiteMove:
    """Plan again, compare with what was shown, insert the move with its members and tell the workers.

    ``shown``: the tokens of the entries that were ticked. One that has changed since, for the worse, is left out, and
    the move says so; all or nothing is refused then, and so is a move of which nothing is left. ``typed``: the scope's
    name, needed to force and for more at once than the policy lets pass without it. The same ``idempotency_key`` gives
    the same move again. Raises RequestRefused; a refusal is in the audit log.
    """
    try:
        known = SiteMove.objects.filter(idempotency_key=idempotency_key).first() if idempotency_key else None
        if known is not None:
            return known
        _permitted(user, reason, forced=forced)
        if at_once not in AT_ONCE_CHOICES:
            raise RequestRefused("stale", f"So many at once ({at_once}) are not offered. Open the page again.")
        plan, ticked, changed = _plan_again(scope, direction, shown)
        chosen = [entry for entry in ticked if entry.hostname_id not in changed]
        if changed and (together or not chosen):
            first = next(entry for entry in ticked if entry.hostname_id in changed)
            raise RequestRefused("stale", f"{first.hostname}: {changed[first.hostname_id]} Look again.")
        count_at_once = len(chosen) if together else at_once
        _judge(plan, chosen, forced=forced, typed=typed, at_once=count_at_once, together=together)
        move = SiteMove(
            site=scope.site,
            front_end_pool=scope.front_end_pool,
            scope_text=scope.name,
            direction=direction.value,
            together=together,
            at_once=at_once,
            stop_at_failure=stop_at_failure,
            digest=plan.digest,
            reason=reason.strip(),
            ticket=ticket.strip()[:60],
            forced=any(entry.blocking for entry in chosen),
            requested_by=user,
            requested_by_name=str(user)[:150],
            request_id=acting().request_id,
            idempotency_key=idempotency_key[:64],
        )
        return _insert(move, ticked, changed)
    except RequestRefused as refused:
        denied = refused.code == "not_permitted"
        audit.record_apart(
            action="site_move.denied" if denied else "site_move.refused",
            outcome=AuditOutcome.DENIED if denied else AuditOutcome.REFUSED,
            object_type="site move",
            object_name=scope.name,
            reason=reason,
            after={"direction": direction.value, "code": refused.code, "sentence": refused.sentence},
        )
        raise


def _permitted(user: User, reason: str, *, forced: bool) -> None:
    if not may(user, Capability.FAILOVER):
        raise RequestRefused("not_permitted", "You may not move a site. Ask an operator.")
    if forced and not may(user, Capability.FORCE):
        raise RequestRefused("not_permitted", "You may not force a move against a safety rule. Ask an administrator.")
    if not reason.strip():
        raise RequestRefused("reason_missing", "Give a reason: it is kept in the audit log.")


def _plan_again(
    scope: Scope, direction: Direction, shown: Collection[str]
) -> tuple[SitePlan, tuple[Entry, ...], dict[int, str]]:
    try:
        plan = gather_move(scope, direction)
    except PlanError as error:
        raise RequestRefused("plan", str(error)) from error
    ticked, changed = plan.chosen(shown)
    if not ticked:
        nothing = "Nothing that was ticked is part of this move any more. Look again."
        raise RequestRefused("plan", nothing if shown else "No hostname was ticked, so there is nothing to move.")
    return plan, ticked, changed


def _judge(plan: SitePlan, chosen: Sequence[Entry], *, forced: bool, typed: str, at_once: int, together: bool) -> None:
    """Apply the rules to what was chosen. Raises RequestRefused."""
    never = [entry for entry in chosen if entry.blocking and not entry.forcible]
    blocked = [entry for entry in chosen if entry.blocking]
    if never or (blocked and not forced):
        first = (never or blocked)[0]
        more = f" ({len(never or blocked) - 1} more are blocked.)" if len(never or blocked) > 1 else ""
        raise RequestRefused("blocked", f"{first.hostname}: {first.blocking[0].sentence}{more}")
    confirm = bool(blocked) or plan.needs_confirmation(count=len(chosen), at_once=at_once)
    if confirm and typed.strip().casefold() != plan.scope.casefold():
        why = "To force it" if blocked else f"To move {min(len(chosen), at_once)} hostnames at once"
        raise RequestRefused("typed_wrong", f"{why}, type the name exactly: {plan.scope}.")
    if together and (refused := refusal_of_together(plan, chosen)):
        raise RequestRefused("plan", refused)


def _insert(move: SiteMove, ticked: Sequence[Entry], changed: Mapping[int, str]) -> SiteMove:
    """One transaction: the move, its members, the audit entry; after it, the message."""
    try:
        with transaction.atomic():
            move.save(force_insert=True)
            SiteMoveMember.objects.bulk_create(
                [_member(move, n, entry, changed.get(entry.hostname_id, "")) for n, entry in enumerate(ticked, 1)],
                batch_size=200,
            )
            audit.record(
                action=f"site_move.{'forced' if move.forced else 'requested'}",
                object=move,
                object_type="site move",
                object_name=str(move),
                reason=move.reason,
                after={
                    "hostnames": [
                        f"{e.hostname}: {e.plan.from_server} to {e.plan.to_server}" for e in ticked if e.plan
                    ],
                    "left_out": sorted(changed.values()),
                    "at_once": move.at_once,
                    "all_or_nothing": move.together,
                    "ticket": move.ticket,
                    "digest": move.digest,
                },
            )
            transaction.on_commit(lambda: _tell(move))
    except IntegrityError:
        known = SiteMove.objects.filter(idempotency_key=move.idempotency_key).first()
        if known is None:
            raise
        return known
    return move


def _member(move: SiteMove, order: int, entry: Entry, changed: str) -> SiteMoveMember:
    return SiteMoveMember(
        move=move,
        order=order,
        hostname_id=entry.hostname_id,
        hostname_fqdn=entry.hostname,
        state=(MemberState.LEFT_OUT if changed else MemberState.WAITING).value,
        sentence=changed,
        plan=entry.plan.as_dict() if entry.plan else {},
        digest=entry.digest,
        findings=[finding.as_dict() for finding in entry.findings],
        overridden=[finding.rule for finding in entry.blocking],
        why=entry.choice.why,
    )


def _tell(move: SiteMove) -> None:
    if not tasks.nudge_move(str(move.pk)):
        SiteMove.objects.filter(pk=move.pk, state=MoveState.RUNNING.value).update(result=BROKER_LOST)
    live.bump_and_publish(hostname_ids=set(), operations={str(move.pk)})


def stop_move(*, move: SiteMove, user: User) -> None:
    """No new ones begin; those that run go on to their true end. Raises RequestRefused (not_permitted, too_late)."""
    _may_steer(user, move, "stop")
    if not site_driver.stop(move, f"Stopped by {user}. What had begun goes on to its end; the rest was not touched."):
        raise RequestRefused("too_late", "It is not running any more.")


def resume_move(*, move: SiteMove, user: User) -> None:
    """Go on with what has not begun, by a fresh plan: one that would go elsewhere now, or is blocked, is left out.

    Raises RequestRefused (not_permitted, too_late, plan).
    """
    _may_steer(user, move, "resume")
    if move.state != MoveState.STOPPED:
        raise RequestRefused("too_late", "It is not stopped.")
    scope = scope_of(move)
    waiting = list(move.members.filter(state=MemberState.WAITING.value))
    try:
        plan = gather_move(scope, Direction(move.direction), only={m.hostname_id for m in waiting}) if waiting else None
    except PlanError as error:
        raise RequestRefused("plan", str(error)) from error
    entries = {entry.hostname_id: entry for entry in plan.entries} if plan else {}
    for member in waiting:
        _plan_anew(member, entries.get(member.hostname_id))
    with transaction.atomic():
        stopped = SiteMove.objects.filter(pk=move.pk, state=MoveState.STOPPED.value)
        if stopped.update(state=MoveState.RUNNING.value, planned_at=timezone.now(), result="") != 1:
            raise RequestRefused("too_late", "It is not stopped any more.")
        fields = ["plan", "digest", "findings", "why", "state", "sentence"]
        SiteMoveMember.objects.bulk_update(waiting, fields, batch_size=200)
        left_out = [m.hostname_fqdn for m in waiting if m.state == MemberState.LEFT_OUT]
        audit.record(
            action="site_move.resumed",
            object=move,
            object_type="site move",
            object_name=str(move),
            reason=f"Resumed by {user}.",
            after={"left_out": left_out, "going_on": len(waiting) - len(left_out)},
        )
        transaction.on_commit(lambda: _tell(move))
    move.refresh_from_db()


def _plan_anew(member: SiteMoveMember, entry: Entry | None) -> None:
    """Take the fresh plan, where it leads to the same target and nothing new forbids it."""
    problem = ""
    if entry is None:
        problem = "It is no longer part of what is moved."
    elif entry.plan is None:
        problem = entry.choice.error
    elif entry.plan.to_server != member.plan["to_server"]:
        problem = f"It would go to {entry.plan.to_server} now, not to {member.plan['to_server']}: move it by itself."
    elif new := [f for f in entry.blocking if f.rule not in member.overridden]:
        problem = new[0].sentence
    if problem or entry is None or entry.plan is None:
        member.state, member.sentence = MemberState.LEFT_OUT.value, problem
        return
    member.plan, member.digest, member.why = entry.plan.as_dict(), entry.digest, entry.choice.why
    member.findings = [finding.as_dict() for finding in entry.findings]


def scope_of(move: SiteMove) -> Scope:
    """What it moves. Raises RequestRefused where that was deleted from the estate."""
    if move.site is None and move.front_end_pool is None:
        raise RequestRefused("plan", f"{move.scope_text} is no longer in the estate.")
    return Scope(site=move.site, front_end_pool=move.front_end_pool)


def _may_steer(user: User, move: SiteMove, what: str) -> None:
    if not may(user, Capability.FAILOVER):
        audit.record_apart(
            action=f"site_move.{what}_denied", outcome=AuditOutcome.DENIED, object=move, object_type="site move",
            object_name=str(move),
        )  # fmt: skip
        raise RequestRefused("not_permitted", f"You may not {what} a move. Ask an operator.")
