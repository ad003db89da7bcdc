"""What every page's frame shows: navigation by capability, what is wrong with ourselves, how many things are down."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from a365admin.accounts.permissions import Capability, may
from a365admin.banners import Banner, current_banners
from pools import overview


@dataclass(frozen=True, slots=True)
class NavItem:
    """One entry of the main navigation."""

    label: str
    url: str
    icon: str
    current: bool
    rare: bool = False


_NAV = (
    ("Overview", "pools:overview", "layout-dashboard", Capability.VIEW),
    ("Helpdesk", "pools:helpdesk", "headset", Capability.VIEW),
    ("Operations", "dnsops:operations", "arrows-exchange", Capability.VIEW),
    ("Maintenance", "pools:maintenance", "tool", Capability.VIEW),
    ("Move a site", "dnsops:moves", "building", Capability.FAILOVER),
    ("Clients", "pools:clients", "device-desktop", Capability.VIEW),
    ("Certificates", "pools:certificates", "certificate", Capability.VIEW),
    ("Audit log", "audit:log", "history", Capability.VIEW_AUDIT),
    ("Estate", "pools:estate", "sitemap", Capability.EDIT_ESTATE),
    ("People", "accounts:people", "users", Capability.MANAGE_USERS),
)
# What fits beside the tools on a laptop's screen; with more entries than that, the rarer ones go into the menu "More".
_ROOM = 7
_RARE = frozenset({"Clients", "Certificates", "Estate", "People"})
_BELOW_OVERVIEW = ("/hostnames/", "/pools/", "/front-end-pools/", "/sites/", "/servers/", "/virtual-services/")
_LAB = ("Break things", "lab:page", "flask", Capability.BREAK_LAB)


def url_or_none(name: str) -> str | None:
    """Return the address of a page, or None in an installation that does not have it."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return None


class Frame:
    """The frame of one page; each part is read when the template asks for it, and not before."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._user: Any = getattr(request, "user", None)

    @cached_property
    def signed_in(self) -> bool:
        """Whether somebody is signed in."""
        return bool(self._user is not None and self._user.is_authenticated)

    @cached_property
    def time_zone(self) -> str:
        """The reader's time zone, as an IANA name."""
        return timezone.get_current_timezone_name()

    @cached_property
    def user_name(self) -> str:
        """The reader's name."""
        return str(self._user) if self.signed_in else ""

    @property
    def initial(self) -> str:
        """The first letter of the reader's name."""
        return self.user_name[:1].upper()

    @property
    def role(self) -> str:
        """The reader's role, in words."""
        return str(self._user.get_role_display()) if self.signed_in else ""

    @cached_property
    def _entries(self) -> list[NavItem]:
        """The main navigation, without what the reader may not see."""
        entries = (*_NAV, _LAB) if settings.LAB_CONFIG else _NAV
        items = []
        for label, name, icon, capability in entries:
            url = url_or_none(name) if may(self._user, capability) else None
            if url:
                items.append(NavItem(label, url, icon, self._is_current(url), rare=label in _RARE))
        return items

    @property
    def nav(self) -> list[NavItem]:
        """What always stands in the bar."""
        return [item for item in self._entries if item not in self.nav_more]

    @cached_property
    def nav_more(self) -> list[NavItem]:
        """What is behind "More"; nothing, where everything fits."""
        return [item for item in self._entries if item.rare] if len(self._entries) > _ROOM else []

    @property
    def nav_more_current(self) -> NavItem | None:
        """The entry behind "More" whose page this is."""
        return next((item for item in self.nav_more if item.current), None)

    def _is_current(self, url: str) -> bool:
        path = self._request.path
        return path == url or path.startswith(_BELOW_OVERVIEW if url == "/" else url)

    @property
    def profile_url(self) -> str | None:
        """The reader's own page."""
        return url_or_none("accounts:profile")

    @property
    def sign_out_url(self) -> str | None:
        """Where signing out is posted."""
        return url_or_none("accounts:sign-out")

    @property
    def lab(self) -> bool:
        """Whether this is the demo."""
        return bool(settings.LAB_CONFIG)

    @cached_property
    def banners(self) -> list[Banner]:
        """What is not well with the product itself, in words."""
        return current_banners() if self.signed_in else []

    @cached_property
    def _overview(self) -> overview.Overview | None:
        return overview.overview_for(self._request) if self.signed_in else None

    @property
    def down(self) -> int:
        """How many hostnames are down."""
        return self._overview.counts["down"] if self._overview else 0

    @property
    def version(self) -> int:
        """The live version that this page shows."""
        return self._overview.version if self._overview else 0

    @property
    def now(self) -> str:
        """The server's clock, epoch seconds: browsers' clocks are not to be trusted."""
        return f"{time.time():.3f}"


def page_frame(request: HttpRequest) -> dict[str, Any]:
    """Context processor: ``frame`` for ``base.html``."""
    return {"frame": Frame(request)}
