"""What every page says at its top when a part of the product itself does not report."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from pools import live, overview
from pools.kept import Recent


@dataclass(frozen=True, slots=True)
class Banner:
    """One sentence about what is wrong, one about what it means and what still works."""

    level: str
    what: str
    meaning: str
    seen_at: datetime | None = None


def _read_liveness() -> live.Liveness:
    return live.system_liveness()


def _read_doubt() -> live.ProberDoubt | None:
    return live.prober_doubt()


doubts = Recent(_read_doubt, keep_s=1.0)
"""Whether a prober doubts itself, read at most once a second for each process."""

liveness = Recent(_read_liveness, keep_s=1.0)
"""Who of us reports, read at most once a second for each process."""

_PARTS = {
    "probes": (
        "The probes worker",
        "New results do not come in, so states turn grey. Failing over still works: it looks for itself first.",
    ),
    "operations": (
        "The operations worker",
        "A failover that you start waits until it is back. What is shown here is still checked and true.",
    ),
    "beat": (
        "The scheduler (beat)",
        "Checks are not handed out any more. Failing over still works while the operations worker runs.",
    ),
    "watch": (
        "The process that holds watch connections",
        "A stopped UCC is noticed by the next probe instead of at once. Nothing else depends on it.",
    ),
}
_BROKER = Banner(
    "danger",
    "The broker (Redis) does not answer.",
    "Nothing is checked, and a failover that you start waits until it is back. Reading and the log still work.",
)


def current_banners() -> list[Banner]:
    """What is wrong with ourselves now, the gravest first; empty when every part reports."""
    seen = liveness.get()
    if seen.broker == "lost":
        return [_BROKER]
    words = seen.as_words()
    doubt = doubts.get()
    return [*([_doubt_banner(doubt)] if doubt else []), *_part_banners(seen, words)]


def _part_banners(seen: live.Liveness, words: dict[str, str]) -> list[Banner]:
    return [_part_banner(part, seen.age_s.get(part)) for part in _PARTS if words.get(part) == "lost"]


def _doubt_banner(doubt: live.ProberDoubt) -> Banner:
    return Banner(
        "danger",
        "The prober may be cut off.",
        f"For {_duration(time.time() - doubt.since)}: {doubt.why.partition(':')[0]}. What fails is shown as unknown, "
        "and nothing is done automatically. Failing over by hand still works: it looks for itself first.",
    )


def _part_banner(part: str, age_s: float | None) -> Banner:
    name, meaning = _PARTS[part]
    since = "" if age_s is None else f" for {_duration(age_s)}"
    sweep = overview.ages.get().last_sweep if part == "probes" else None
    seen_at = datetime.fromtimestamp(sweep, UTC) if sweep else None
    return Banner(
        "warning" if part in {"beat", "watch"} else "danger", f"{name} has not reported{since}.", meaning, seen_at
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{int(seconds)} s"
    return f"{int(seconds // 60)} min" if seconds < 7200 else f"{int(seconds // 3600)} h"


def banners_html() -> SafeString:
    """The banners as they stand at the top of each page."""
    return render_to_string("components/banners.html", {"frame": {"banners": current_banners()}})
