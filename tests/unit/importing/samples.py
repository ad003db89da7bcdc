"""What the cmdlets of Skype for Business write, for one estate: two paired pools, a pool of A365 servers on each."""

from __future__ import annotations

import json
from typing import Any
from xml.sax.saxutils import escape

from pools.importing.reading import SourceFile

Objects = list[dict[str, Any]]
POOLS: Objects = [
    {
        "Identity": "fepool1.corp.example",
        "Services": ["Registrar:fepool1.corp.example", "UserServer:fepool1.corp.example"],
        "Computers": ["fe1.corp.example", "fe2.corp.example"],
        "Fqdn": "fepool1.corp.example",
        "BackupPoolFqdn": "fepool2.corp.example",
        "Site": "Site:Amsterdam",
    },
    {
        "Identity": "fepool2.corp.example",
        "Services": ["Registrar:fepool2.corp.example"],
        "Computers": ["fe3.corp.example"],
        "Fqdn": "fepool2.corp.example",
        "BackupPoolFqdn": "fepool1.corp.example",
        "Site": "Site:Utrecht",
    },
    {
        "Identity": "sql1.corp.example",
        "Services": ["UserDatabase:sql1.corp.example"],
        "Computers": ["sql1.corp.example"],
        "Fqdn": "sql1.corp.example",
        "BackupPoolFqdn": None,
        "Site": "Site:Amsterdam",
    },
    {
        "Identity": "lonely.corp.example",
        "Services": ["Registrar:lonely.corp.example"],
        "Computers": ["lonely.corp.example"],
        "Fqdn": "lonely.corp.example",
        "BackupPoolFqdn": None,
        "Site": "Site:Groningen",
    },
]
APPLICATION_POOLS: Objects = [
    {
        "Identity": f"TrustedApplicationPool:a365pool{n}.corp.example",
        "Registrar": f"Registrar:fepool{n}.corp.example",
        "FileStore": None,
        "ThrottleAsServer": True,
        "TreatAsAuthenticated": True,
        "OutboundOnly": False,
        "RequiresReplication": True,
        "AudioPortStart": None,
        "AudioPortCount": 0,
        "Applications": ["urn:application:reception"],
        "DependentServiceList": [],
        "ServiceId": f"{n}-ExternalServer-1",
        "SiteId": "Site:Amsterdam",
        "PoolFqdn": f"a365pool{n}.corp.example",
        "Version": 7,
        "Role": "TrustedApplicationPool",
    }
    for n in (1, 2)
]
COMPUTERS: Objects = [
    {
        "Identity": f"srv{n}.corp.example",
        "Pool": f"a365pool{(n + 1) // 2}.corp.example",
        "Fqdn": f"srv{n}.corp.example",
        "Address": f"10.1.0.{n}",
    }
    for n in (1, 2, 3, 4)
]
APPLICATIONS: Objects = [
    {
        "Identity": f"a365pool{pool}.corp.example/urn:application:{name}",
        "ComputerGruus": ["srv1.corp.example sip:srv1.corp.example@corp.example;gruu;opaque=srvr:x:y"],
        "ServiceGruu": "sip:a365pool1.corp.example@corp.example;gruu;opaque=srvr:x:y",
        "Protocol": "Mtls",
        "ApplicationId": f"urn:application:{name}",
        "TrustedApplicationPoolFqdn": f"a365pool{pool}.corp.example",
        "Port": port,
        "LegacyApplicationName": name,
    }
    for pool in (1, 2)
    for name, port in (("reception", 6001), ("servicedesk", 6002))
]
OBJECTS: dict[str, Objects] = {
    "pools": POOLS,
    "apppools": APPLICATION_POOLS,
    "computers": COMPUTERS,
    "applications": APPLICATIONS,
}
TYPES = {
    "pools": "Microsoft.Rtc.Management.Xds.DisplayPool",
    "apppools": "Microsoft.Rtc.Management.Xds.DisplayExternalServer",
    "computers": "Microsoft.Rtc.Management.Xds.DisplayComputer",
    "applications": "Microsoft.Rtc.Management.Xds.DisplayExternalApplication",
}
HOSTNAMES = """\
a365admin: 1
dedicated_hostnames:
  - fqdn: a365web1.corp.example
    service_name: Service Desk Amsterdam
    trusted_application_pool: a365pool1.corp.example
    ttl_s: 30
    targets: [SRV1, srv2.corp.example, srv3.corp.example]
  - fqdn: a365web2.corp.example
    service_name: Überweisungen Utrecht
    trusted_application_pool: a365pool2.corp.example
    targets:
      - srv3.corp.example
      - srv4.corp.example
"""


def as_json(objects: Objects, *, wrapped: bool = False) -> bytes:
    """ConvertTo-Json: CRLF, four blanks; one object alone is no list; 5.1 may wrap a list."""
    value: object = objects[0] if len(objects) == 1 else objects
    if wrapped:
        value = {"value": objects, "Count": len(objects)}
    return json.dumps(value, indent=4, ensure_ascii=False).replace("\n", "\r\n").encode()


def as_csv(objects: Objects, *, separator: str = ",", type_name: str = "", bom: bool = True) -> bytes:
    """Export-Csv: every value quoted; a list becomes its type's name."""

    def cell(value: object) -> str:
        text = "" if value is None else str(value)
        if isinstance(value, list):
            text = "System.Collections.Generic.List`1[System.String]"
        return '"' + text.replace('"', '""') + '"'

    lines = [f"#TYPE {type_name}"] if type_name else []
    lines.append(separator.join(cell(name) for name in objects[0]))
    lines += [separator.join(cell(value) for value in one.values()) for one in objects]
    return ("\ufeff" * bom + "\r\n".join(lines) + "\r\n").encode()


def as_clixml(objects: Objects, type_name: str) -> bytes:
    """Export-Clixml: UTF-16 with a byte-order mark, properties in Props, lists as objects of their own."""
    parts = ['<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">']
    ref = 0
    for number, one in enumerate(objects):
        types = f'<TN RefId="0"><T>{type_name}</T><T>System.Object</T></TN>' if not number else '<TNRef RefId="0" />'
        parts.append(f'  <Obj RefId="{ref}">\r\n    {types}\r\n    <ToString>{type_name}</ToString>\r\n    <Props>')
        for name, value in one.items():
            if isinstance(value, list):
                ref += 1
                items = "".join(f"<S>{escape(str(item))}</S>" for item in value)
                parts.append(f'      <Obj N="{name}" RefId="{ref}"><TNRef RefId="1" /><LST>{items}</LST></Obj>')
            elif value is None:
                parts.append(f'      <Nil N="{name}" />')
            elif isinstance(value, bool):
                parts.append(f'      <B N="{name}">{str(value).lower()}</B>')
            else:
                tag = "I32" if isinstance(value, int) else "S"
                parts.append(f'      <{tag} N="{name}">{escape(str(value))}</{tag}>')
        parts.append('    </Props>\r\n    <MS><S N="PSComputerName">fe1.corp.example</S></MS>\r\n  </Obj>')
        ref += 1
    parts.append("</Objs>")
    return b"\xff\xfe" + "\r\n".join(parts).encode("utf-16-le")


def files(form: str) -> list[SourceFile]:
    """The four exports in one of the forms."""
    found = []
    for name, objects in OBJECTS.items():
        if form == "json":
            data = as_json(objects)
        elif form == "wrapped":
            data = as_json(objects, wrapped=True)
        elif form == "csv":
            data = as_csv(objects, type_name=TYPES[name])
        elif form == "csv-semicolon":
            data = as_csv(objects, separator=";", bom=False)
        else:
            data = as_clixml(objects, TYPES[name])
        found.append(SourceFile(f"{name}.{form}", data))
    return found


def hostnames() -> SourceFile:
    """What Skype for Business does not know."""
    return SourceFile("hostnames.yaml", HOSTNAMES.encode())


def many(count: int) -> list[SourceFile]:
    """An estate of ``count`` UCCs in each of two pools."""
    applications = [
        {**APPLICATIONS[0], "Identity": f"{pool}/urn:application:ucc-{n}", "ApplicationId": f"urn:application:ucc-{n}",
         "TrustedApplicationPoolFqdn": pool, "Port": 6001 + n, "LegacyApplicationName": f"ucc-{n}"}
        for pool in ("a365pool1.corp.example", "a365pool2.corp.example") for n in range(count)
    ]  # fmt: skip
    return [*files("json")[:3], SourceFile("applications.csv", as_csv(applications)), hostnames()]
