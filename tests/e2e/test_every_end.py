"""Each end of an operation, reached with the demo's own faults: what the user reads, and what DNS says."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import dns.message
import dns.query
import pytest

from a365admin.lab.client import LabClient
from a365admin.lab.config import load_config
from tests.e2e.steps import HOSTNAME, answers
from tests.http_session import HttpSession, hidden
from tests.product import Product
from tests.waiting import wait_until

SRV1, SRV2, STRANGER = "srv1.lab.example.", "srv2.lab.example.", "elsewhere.lab.example."
RUNNING = "You can close this page"


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The product with its demo estate, and little patience."""
    patience = {"A365_MAX_TTL_WAIT_S": "2", "A365_FAILBACK_STABILITY_S": "1"}
    with Product(tmp_path_factory.mktemp("product"), environment=patience) as running:
        yield running


@pytest.fixture(scope="module")
def signed_in(product: Product) -> Iterator[HttpSession]:
    """The administrator, without a browser."""
    session = HttpSession(product.url, accept_encoding="identity")
    session.sign_in("admin", product.password)
    yield session
    session.close()


class Operator:
    """Somebody who fails over a365web1, and reads what the pages say."""

    def __init__(self, session: HttpSession, lab: LabClient, dns_servers: Callable[[], list[str]]) -> None:
        self._session = session
        self._fields: dict[str, str] = {}
        self._operation = ""
        self.lab = lab
        self.dns = dns_servers

    def open_dialog(self) -> str:
        """Open the dialog; return what it says."""
        page = self._session.get(f"/hostnames/{HOSTNAME}/failover/?kind=failover")
        self._fields = hidden(page)
        return words_of(page)

    def click(self) -> str:
        """Confirm the dialog that is open; return what the page that follows says: of the operation, or a refusal."""
        status, page, headers = self._session.request(
            "POST", f"/hostnames/{HOSTNAME}/failover/", self._fields | {"reason": "to see how it ends"}
        )
        if status != 302:
            assert status == 409, page
            return words_of(page)
        self._operation = urlsplit(headers["location"]).path
        return self.read()

    def read(self) -> str:
        """What the operation's page says now."""
        return words_of(self._session.get(self._operation))

    def fail_over(self) -> str:
        """Open the dialog, confirm it, and wait for the end; return what the operation's page says then."""
        assert "Fail over to SRV2" in self.open_dialog()
        self.click()
        return wait_until(self._ended, timeout_s=30, message=self.read)

    def _ended(self) -> str:
        return "" if RUNNING in (said := self.read()) else said

    def ask_again(self) -> str:
        """Press "Ask again"; return what the operation's page says then."""
        token = hidden(self._session.get(self._operation))["csrfmiddlewaretoken"]
        status, page, _ = self._session.request(
            "POST", f"{self._operation}verify-again/", {"csrfmiddlewaretoken": token}
        )
        assert status == 302, page
        return self.read()

    def press_edit(self, target: str) -> None:
        """Press the demo page's button that edits the record by hand."""
        token = hidden(self._session.get("/lab/"))["csrfmiddlewaretoken"]
        fields = {"csrfmiddlewaretoken": token, "hostname": HOSTNAME, "target": target}
        status, page, _ = self._session.request("POST", "/lab/edit", fields)
        assert status == 302, page

    def hostname_says(self) -> str:
        """What the hostname's page says now."""
        return words_of(self._session.get(f"/hostnames/{HOSTNAME}/"))

    def mend(self, target: str, fault: str) -> None:
        """End one of the demo's faults."""
        self.lab.set_fault(target, fault, on=False)


@pytest.fixture
def operator(product: Product, signed_in: HttpSession) -> Operator:
    """Somebody at an untouched demo."""
    config = load_config(product.var / "lab.json")
    lab = LabClient(config)
    lab.reset(start_over=True)
    operator = Operator(signed_in, lab, lambda: [one for server in config.dns for one in answers([server])])
    # What the test before has broken must be seen to work again: until then another standby is proposed.
    wait_until(lambda: "Fail over to SRV2" in operator.open_dialog(), timeout_s=60, message=operator.open_dialog)
    return operator


@pytest.fixture
def serial(product: Product) -> Callable[[], int]:
    """The serial number of the zone on the writer, which goes up by one with each change."""
    writer = load_config(product.var / "lab.json").dns[0]

    def ask() -> int:
        query = dns.message.make_query("lab.example", "SOA")
        return int(dns.query.udp(query, writer.address, port=writer.port, timeout=3).answer[0][0].serial)

    return ask


def words_of(page: str) -> str:
    """The words that a reader of the page sees, without its frame."""
    page = page[page.index("<main") : page.index("</main>")]
    page = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def test_it_succeeds_when_every_dns_server_gives_the_new_answer(operator: Operator, serial: Callable[[], int]) -> None:
    before = serial()

    said = operator.fail_over()

    assert "Succeeded Every DNS server answers SRV2." in said
    assert operator.dns() == [SRV2, SRV2]
    assert serial() == before + 1


def test_it_fails_and_changes_nothing_when_the_dns_server_refuses_the_change(
    operator: Operator, serial: Callable[[], int]
) -> None:
    operator.lab.set_fault("dns1", "refusing")
    before = serial()

    said = operator.fail_over()

    assert "Failed, nothing changed" in said
    assert "dns1 refused the change" in said
    assert "This operation changed nothing." in said
    assert operator.dns() == [SRV1, SRV1]
    assert serial() == before


@pytest.mark.parametrize(
    ("target", "now"), [(SRV2, "already points at SRV2"), (STRANGER, f"DNS points {HOSTNAME} at elsewhere")]
)
def test_a_click_is_refused_when_somebody_has_edited_the_record_since_the_dialog_was_opened(
    operator: Operator, serial: Callable[[], int], target: str, now: str
) -> None:
    assert f"CNAME {SRV1}" in operator.open_dialog()
    operator.lab.edit(HOSTNAME, target)
    wait_until(lambda: operator.dns() == [target, target], message="dns2 did not follow")
    before = serial()

    said = operator.click()

    assert "Nothing was changed." in said
    assert "has changed since you opened this" in said
    assert now in said
    assert "Look again" in said
    assert operator.dns() == [target, target]
    assert serial() == before


def test_an_edit_by_hand_is_seen_on_the_hostnames_page(operator: Operator) -> None:
    assert "elsewhere" not in operator.hostname_says()

    operator.press_edit(STRANGER)

    wait_until(lambda: "elsewhere.lab.example" in operator.hostname_says(), message=operator.hostname_says)
    assert operator.dns()[0] == STRANGER


def test_it_is_incomplete_while_a_dns_server_keeps_the_old_answer_and_succeeds_when_that_one_is_mended(
    operator: Operator,
) -> None:
    operator.lab.set_fault("dns2", "stuck")

    said = operator.fail_over()

    assert "Incomplete dns1 answers SRV2, but dns2 still says CNAME srv1.lab.example." in said
    assert "Clients may be split between the two servers. Ask again in a moment" in said
    assert "Ask dns2 again" in said
    assert operator.dns() == [SRV2, SRV1]

    assert "Incomplete" in operator.ask_again()
    operator.mend("dns2", "stuck")
    assert "Every DNS server answers SRV2." in operator.ask_again()
    assert "Succeeded" in operator.read()
    assert operator.dns() == [SRV2, SRV2]


def test_its_result_is_not_known_when_the_dns_server_falls_silent_and_becomes_known_when_it_is_back(
    operator: Operator, serial: Callable[[], int]
) -> None:
    operator.lab.set_fault("dns1", "vanishing")
    before = serial()

    said = operator.fail_over()

    assert "Result not known" in said
    assert "it may or may not have been made" in said
    assert "bring dns1 back. Look at the record on dns1 before you do anything else; then ask again" in said
    assert "Ask dns1 again" in said
    assert "Succeeded" not in said
    assert "nothing changed" not in said

    assert "Result not known" in operator.ask_again()
    operator.mend("dns1", "silent")
    assert "Every DNS server answers SRV2." in operator.ask_again()
    assert "Succeeded" in operator.read()
    assert operator.dns() == [SRV2, SRV2]
    assert serial() == before + 1


def test_a_lost_reply_is_made_up_for_by_reading_and_the_change_is_made_once(
    operator: Operator, serial: Callable[[], int]
) -> None:
    operator.lab.set_fault("dns1", "reply_lost")
    before = serial()

    said = operator.fail_over()

    assert "Succeeded Every DNS server answers SRV2." in said
    assert "reading shows that dns1 made the change" in said
    assert operator.dns() == [SRV2, SRV2]
    assert serial() == before + 1


@pytest.mark.parametrize("fault", ["silent", "down"])
def test_nothing_can_be_clicked_while_the_writer_gives_no_answer(operator: Operator, fault: str) -> None:
    operator.lab.set_fault("dns1", fault)

    said = operator.open_dialog()

    assert "This cannot be done now." in said
    assert "dns1" in said
    assert "Fail over to SRV2" not in said


def test_a_standby_whose_certificate_lacks_the_hostname_can_only_be_forced(
    operator: Operator, signed_in: HttpSession
) -> None:
    operator.lab.set_fault("SRV8", "wrong_certificate")

    said = words_of(signed_in.get("/hostnames/a365web4.lab.example/failover/?kind=failover"))

    assert "does not name a365web4.lab.example" in said
    assert "Force" in said
    wait_until(
        lambda: "Name missing SRV8 a365web4.lab.example" in words_of(signed_in.get("/certificates/")), timeout_s=60
    )


def test_a_server_in_maintenance_is_still_checked_and_never_the_target(
    operator: Operator, signed_in: HttpSession
) -> None:
    page = signed_in.get("/maintenance/")
    (server,) = re.findall(r'<option value="(server:\d+)">SRV8</option>', page)
    fields = {"csrfmiddlewaretoken": hidden(page)["csrfmiddlewaretoken"], "thing": server, "reason": "disk exchange"}
    status, said, _ = signed_in.request("POST", "/maintenance/begin/", fields | {"duration_min": "60"})
    assert status == 302, said
    operator.lab.set_fault("SRV8", "ucc_down")

    said = words_of(signed_in.get("/hostnames/a365web4.lab.example/failover/?kind=failover"))
    assert "SRV8 is in maintenance (disk exchange)" in said
    assert "Force" in said
    wait_until(lambda: "refused" in words_of(signed_in.get("/servers/SRV8/")), timeout_s=60)

    page = signed_in.get("/maintenance/")
    (end,) = re.findall(r'action="(/maintenance/\d+/end/)"', page)
    status, said, _ = signed_in.request("POST", end, {"csrfmiddlewaretoken": hidden(page)["csrfmiddlewaretoken"]})
    assert status == 302, said
    assert "Nothing is in maintenance." in words_of(signed_in.get("/maintenance/"))
