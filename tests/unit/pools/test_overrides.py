"""What is stated about a server, its pool or the estate counts for checks, in this order; what cannot be is refused."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from hypothesis import given, strategies as st
from pytest_django import Settings

from a365admin.accounts.models import Role
from a365admin.audit.models import AuditEntry
from pools.health import CheckKind, Policy
from pools.importing.apply import apply_import, dry_run
from pools.importing.reading import SourceFile, read_files
from pools.importing.snapshot import read_snapshot
from pools.importing.yaml_format import write_yaml
from pools.models import Server, TrustedApplicationPool
from pools.services import estate_checks
from pools.specs import CERT_TIMING, TIMINGS, UCC_TIMING, WEB_TIMING, Check
from pools.timing import NOTHING, Overrides, Timing, layered, problem_of, timing_of
from tests.factories import UserFactory, make_pair

STATED = st.builds(
    Overrides,
    ucc_interval_s=st.none() | st.integers(1, 3600),
    fall=st.none() | st.integers(1, 10),
    path=st.sampled_from(["", "/Attendant"]),
)


@given(STATED, STATED, STATED)
def test_of_each_value_the_first_that_is_stated_counts(server: Overrides, pool: Overrides, estate: Overrides) -> None:
    found = layered(server, pool, estate)
    assert found.ucc_interval_s == next((o.ucc_interval_s for o in (server, pool, estate) if o.ucc_interval_s), None)
    assert found.fall == next((o.fall for o in (server, pool, estate) if o.fall), None)
    assert found.path == (server.path or pool.path or estate.path)


def test_where_nothing_is_stated_the_defaults_stay() -> None:
    assert layered(NOTHING, NOTHING) == NOTHING
    for kind, timing in TIMINGS.items():
        assert timing_of(kind, timing, NOTHING) == timing


def test_ucc_ports_and_web_services_have_timings_of_their_own() -> None:
    own = Overrides(ucc_interval_s=30, ucc_timeout_s=1, web_interval_s=60, web_timeout_s=9, rise=4, fall=5)
    ucc, web, cert = (
        timing_of(kind, default, own)
        for kind, default in ((CheckKind.UCC, UCC_TIMING), (CheckKind.WEB, WEB_TIMING), (CheckKind.CERT, CERT_TIMING))
    )
    assert (ucc.interval_s, ucc.timeout_s, ucc.policy) == (30, 1, Policy(4, 5))
    assert (web.interval_s, web.timeout_s, web.policy) == (60, 9, Policy(4, 5))
    assert (cert.interval_s, cert.timeout_s, cert.policy) == (60, 9, CERT_TIMING.policy)
    assert timing_of(CheckKind.VIP, TIMINGS[CheckKind.VIP], own) == TIMINGS[CheckKind.VIP]


@pytest.mark.parametrize(
    ("own", "field"),
    [
        (NOTHING, None),
        (Overrides(ucc_timeout_s=5), None),
        (Overrides(ucc_timeout_s=6), "ucc_timeout_s"),
        (Overrides(ucc_interval_s=1), "ucc_interval_s"),
        (Overrides(web_interval_s=3), "web_interval_s"),
        (Overrides(web_interval_s=20, web_timeout_s=21), "web_timeout_s"),
        (Overrides(ucc_interval_s=1, ucc_timeout_s=1), None),
    ],
)
def test_a_timeout_that_outlasts_the_interval_is_refused_at_the_field_that_was_stated(
    own: Overrides, field: str | None
) -> None:
    found = problem_of(own, lambda kind: Timing(5, 2, 0.1) if kind is CheckKind.UCC else Timing(10, 4, 0.1))
    assert (found[0] if found else None) == field


# ------------------------------------------------------------------------------------------------------------- estate


@pytest.fixture
def servers(db: None) -> tuple[Server, Server]:
    hostname = make_pair(ports=(6001,))
    one, two = (target.servers[0] for target in hostname.targets.order_by("order"))
    return one, two


def of(server: Server, kind: CheckKind) -> Check:
    return next(check for check in estate_checks() if check.server_id == server.pk and check.kind is kind)


def test_a_servers_checks_follow_what_is_stated_about_it_its_pool_and_the_estate(
    servers: tuple[Server, Server], settings: Settings
) -> None:
    one, two = servers
    settings.POOLS = {**settings.POOLS, "checks": Overrides(ucc_interval_s=7, path="/Estate")}
    TrustedApplicationPool.objects.update(check_web_interval_s=33, check_fall=5, check_expected_text="Attendant")
    Server.objects.filter(pk=one.pk).update(check_fall=1, web_path="/Own")
    assert (of(one, CheckKind.UCC).interval_s, of(one, CheckKind.UCC).policy.fall) == (7, 1)
    assert (of(two, CheckKind.UCC).interval_s, of(two, CheckKind.UCC).policy.fall) == (7, 5)
    assert (of(two, CheckKind.WEB).interval_s, of(two, CheckKind.WEB).expected_text) == (33, "Attendant")
    assert (of(one, CheckKind.WEB).path, of(two, CheckKind.WEB).path) == ("/Own", "/Estate")
    TrustedApplicationPool.objects.update(check_path="/Pool")
    assert of(two, CheckKind.WEB).path == "/Pool"


def test_a_server_on_top_of_its_pool_is_checked_for_what_cannot_be(servers: tuple[Server, Server]) -> None:
    one, _ = servers
    one.trusted_application_pool.check_ucc_interval_s = 3
    one.check_ucc_timeout_s = 4
    with pytest.raises(ValidationError) as error:
        one.clean()
    assert "longer than their interval of 3 s" in error.value.message_dict["check_ucc_timeout_s"][0]


@pytest.fixture
def admin(db: None) -> Client:
    client = Client()
    client.force_login(UserFactory.create(role=Role.ADMINISTRATOR))
    return client


def page_of(admin: Client, server: Server) -> tuple[str, dict[str, str]]:
    url = f"/estate/server/{server.pk}/"
    form = admin.get(url).context["form"]
    return url, {field.html_name: str(field.value() if field.value() is not None else "") for field in form}


def test_they_are_edited_on_the_servers_page_and_recorded(admin: Client, servers: tuple[Server, Server]) -> None:
    url, fields = page_of(admin, servers[0])
    assert "How it is checked" in admin.get(url).content.decode()
    answer = admin.post(url, fields | {"check_ucc_interval_s": "30", "check_expected_text": "Attendant"})
    assert answer.status_code == 302
    assert of(servers[0], CheckKind.UCC).interval_s == 30
    entry = AuditEntry.objects.filter(action="server.changed").latest("pk")
    assert "30" in str(entry.after)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("check_ucc_interval_s", "0", "greater than or equal to 1"),
        ("check_ucc_interval_s", "often", "whole number"),
        ("check_fall", "11", "less than or equal to 10"),
        ("check_web_timeout_s", "11", "longer than their interval of 10 s"),
    ],
)
def test_what_cannot_be_is_said_beside_its_field(
    admin: Client, servers: tuple[Server, Server], field: str, value: str, said: str
) -> None:
    url, fields = page_of(admin, servers[0])
    answer = admin.post(url, fields | {field: value})
    assert answer.status_code == 422
    assert said in str(answer.context["form"].errors[field])
    assert '<details class="check-fields" open>' in answer.content.decode()


def test_an_export_says_them_where_they_are_stated_only(servers: tuple[Server, Server]) -> None:
    assert "check_" not in write_yaml(read_snapshot().document)
    Server.objects.filter(pk=servers[0].pk).update(check_fall=5)
    TrustedApplicationPool.objects.update(check_path="/Attendant")
    text = write_yaml(read_snapshot().document)
    assert text.count("check_fall: 5") == 1
    assert "check_path: /Attendant" in text


@pytest.mark.parametrize(("stated", "found"), [("4", 4), ("null", None)])
def test_an_import_sets_them_and_takes_them_away(
    servers: tuple[Server, Server], stated: str, found: int | None
) -> None:
    Server.objects.filter(pk=servers[0].pk).update(check_fall=5)
    text = write_yaml(read_snapshot().document).replace("check_fall: 5", f"check_fall: {stated}")
    reading = read_files([SourceFile("estate.yaml", text.encode())])
    result = apply_import(reading, sources=[], digest=dry_run(reading).difference.digest)
    assert result.applied, result.problems
    assert Server.objects.get(pk=servers[0].pk).check_fall == found


def test_an_import_of_what_cannot_be_is_refused_with_its_place(servers: tuple[Server, Server]) -> None:
    Server.objects.filter(pk=servers[0].pk).update(check_fall=5)
    text = write_yaml(read_snapshot().document).replace("check_fall: 5", "check_fall: 50")
    problems = dry_run(read_files([SourceFile("estate.yaml", text.encode())])).problems
    assert any("check_fall" in str(problem) for problem in problems)
