"""A Samba Active Directory domain controller in a network namespace that has only ``lo``; as root, gone afterwards.

An account may write one record there, by an access control entry on the record's own object. Enter the namespace
(``inside``) to talk to it: nothing of it can be reached, or disturbed, from outside.
"""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dnsops.asking import ask
from dnsops.providers.base import Endpoint
from dnsops.providers.tickets import listening
from tests.integration.kerberos import SBIN, run
from tests.waiting import wait_until

SAMBA = shutil.which("samba", path=SBIN)
SAMBA_TOOL = shutil.which("samba-tool", path=SBIN)
SYSTEM_PYTHON = "/usr/bin/python3"  # the one that has Samba's own modules
AS_ROOT = os.geteuid() == 0
ADDRESS = "10.99.0.1"
REALM = "AD.LAB.EXAMPLE"
ZONE = "ad.lab.example"
FROZEN = "frozen.example"
ACCOUNTS = ("svc-failover", "svc-other", "ghost", "old")
CLONE_NEWNET = 0x40000000

CONF = """[global]
    interfaces = {address}
    bind interfaces only = yes
    log file = {folder}/log.%m
    pid directory = {folder}/run
    ncalrpc dir = {folder}/ncalrpc
    winbindd socket directory = {folder}/winbindd
    ntp signd socket directory = {folder}/ntp_signd
    posix:eadb = {folder}/eadb.tdb
    dns update command = /bin/true
    spn update command = /bin/true
    printing = bsd
    disable spoolss = yes
"""
# "provision" drops these from what it is given.
CONF_AFTERWARDS = """[global]
    server services = rpc, ldap, cldap, kdc, dns
    allow dns updates = secure only
"""

# All that an administrator would do with samba-tool, in one process: accounts, keytabs, records, and who may write one.
SETTING_UP = """
import json, sys
import ldb
from samba import enable_net_export_keytab, sd_utils
from samba.auth import system_session
from samba.dcerpc import security
from samba.ndr import ndr_pack, ndr_unpack
from samba.net import Net
from samba.param import LoadParm
from samba.provision.sambadns import ARecord, CNAMERecord, SOARecord
from samba.samdb import SamDB

enable_net_export_keytab()
order = json.load(sys.stdin)
lp = LoadParm()
lp.load(order["conf"])
samdb = SamDB(url=order["sam"], session_info=system_session(), lp=lp)
for account in order["accounts"]:
    samdb.newuser(account, order["password"])
Net(None, lp).export_keytab(keytab=order["keytab"], principal=None)
samdb.deleteuser("ghost")
samdb.setpassword("(sAMAccountName=old)", order["password"] + "2", force_change_at_next_login=False)

partition = "CN=MicrosoftDNS,DC=DomainDnsZones," + str(samdb.get_default_basedn())

def add(zone, name, record):
    dn = ldb.Dn(samdb, f"DC={name},DC={zone},{partition}")
    message = ldb.Message(dn)
    message["objectClass"] = ldb.MessageElement(["top", "dnsNode"], ldb.FLAG_MOD_ADD, "objectClass")
    message["dnsRecord"] = ldb.MessageElement([ndr_pack(record)], ldb.FLAG_MOD_ADD, "dnsRecord")
    samdb.add(message)
    return dn

zone, frozen = order["zone"], order["frozen"]
record = add(zone, "a365web1", CNAMERecord(f"srv1.{zone}", ttl=30))
add(zone, "srv1", ARecord("10.99.0.11", ttl=300))
samdb.add({"dn": f"DC={frozen},{partition}", "objectClass": ["top", "dnsZone"]})
add(frozen, "@", SOARecord(f"dc1.{zone}", f"hostmaster.{zone}", ttl=300))
add(frozen, "www", CNAMERecord(f"srv1.{zone}", ttl=30))
found = samdb.search(expression="(sAMAccountName=svc-failover)", attrs=["objectSid"])
sid = ndr_unpack(security.dom_sid, found[0]["objectSid"][0])
sd_utils.SDUtils(samdb).dacl_add_ace(str(record), f"(A;;RPWP;;;{sid})")
"""


@dataclass(frozen=True)
class DomainController:
    """A running one. ``keytab`` holds every account's key, those that will not do included."""

    endpoint: Endpoint
    keytab: Path
    pid: int

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Let this thread, and what it starts, use the namespace's network."""
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
        try:
            _enter(there)
            yield
        finally:
            _enter(here)
            os.close(here)
            os.close(there)


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "the network namespace cannot be entered")


@contextmanager
def running_samba(folder: Path) -> Iterator[DomainController]:
    """Provision a domain in ``folder``, start its controller, and end it afterwards."""
    base, conf = folder / "base.conf", folder / "etc" / "smb.conf"
    (folder / "run").mkdir()
    base.write_text(CONF.format(address=ADDRESS, folder=folder))
    password = f"Aa1-{secrets.token_hex(12)}"
    run([str(SAMBA_TOOL), "domain", "provision", f"--configfile={base}", f"--targetdir={folder}", f"--realm={REALM}",
         "--domain=ADLAB", "--server-role=dc", "--dns-backend=SAMBA_INTERNAL", f"--adminpass={password}",
         "--host-name=dc1", f"--host-ip={ADDRESS}"])  # fmt: skip
    conf.write_text(conf.read_text().replace("[global]", CONF_AFTERWARDS.rstrip(), 1))
    order = {"conf": str(conf), "sam": str(folder / "private" / "sam.ldb"), "keytab": str(folder / "all.keytab"),
             "accounts": ACCOUNTS, "password": password, "zone": ZONE, "frozen": FROZEN}  # fmt: skip
    run([SYSTEM_PYTHON, "-c", SETTING_UP], text=json.dumps(order))
    with _started(folder, conf) as process:
        endpoint = Endpoint("dc1", ADDRESS, 53, is_writer=True, host_name=f"dc1.{ZONE}")
        controller = DomainController(endpoint, folder / "all.keytab", process.pid)
        wait_until(
            lambda: _answers(controller),
            timeout_s=40,
            message=lambda: f"samba does not answer:\n{(folder / 'stdout').read_text()[-3000:]}",
        )
        yield controller


@contextmanager
def _started(folder: Path, conf: Path) -> Iterator[subprocess.Popen[bytes]]:
    """In a namespace for network and processes of its own: with its first process, all of it ends."""
    inside = f"ip link set lo up && ip address add {ADDRESS}/32 dev lo && exec {SAMBA} -i -s {conf}"
    command = ["unshare", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", inside]
    with (folder / "stdout").open("ab") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def _answers(controller: DomainController) -> bool:
    with controller.inside():
        kdc = listening([f"{ADDRESS}:88"], deadline=float("inf"))
        return bool(kdc) and ask(controller.endpoint, f"a365web1.{ZONE}", timeout_s=0.3).rrset is not None
