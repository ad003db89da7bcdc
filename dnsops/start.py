"""The guided entry: from the answers to the estate and its DNS, all in one transaction, with its audit entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from django.core.exceptions import ValidationError
from django.db import models, transaction

from dnsops.forms import NameServerForm, UpdateKeyForm, ZoneForm
from dnsops.models import NameServer, UpdateKey, Zone
from dnsops.start_plan import DnsLine, Topology, estate_of
from pools import changes
from pools.forms import EstateForm
from pools.importing.apply import ImportResult, apply_import, dry_run
from pools.importing.reading import Reading, SourceFile, read_files

SOURCE = "guided-entry.yaml"


@dataclass(frozen=True, slots=True)
class Outlook:
    """What would be created, as lines, and what is wrong with it. ``digest`` binds the click to it."""

    lines: Sequence[str]
    problems: Sequence[str]
    digest: str = ""


class _NotDoneError(Exception):
    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("not done")
        self.problems = problems


def look(topology: Topology, answers: Mapping[str, Any]) -> Outlook:
    """Say what would be created, every validation included; nothing stays written."""
    result = dry_run(_reading(topology, answers))
    lines = [change.sentence for change in result.difference.changes]
    return Outlook([*lines, *_dns_lines(answers)], _problems(result), result.difference.digest)


def create(topology: Topology, answers: Mapping[str, Any], *, digest: str) -> Sequence[str]:
    """Create all of it, or nothing. Returns what is wrong; empty where it is done."""
    try:
        with transaction.atomic():
            result = apply_import(_reading(topology, answers), sources=[SOURCE], digest=digest)
            if not result.applied:
                raise _NotDoneError(_problems(result) or ["The estate has changed since this was shown. Look again."])
            if answers.get("zone"):
                _create_dns(answers)
    except _NotDoneError as error:
        return error.problems
    except ValidationError as error:
        return list(error.messages)
    return []


def _reading(topology: Topology, answers: Mapping[str, Any]) -> Reading:
    estate = {name: rows for name, rows in estate_of(topology, answers).items() if rows}
    text = yaml.safe_dump({"a365admin": 1, **estate}, allow_unicode=True, sort_keys=False)
    return read_files([SourceFile(SOURCE, text.encode())])


def _problems(result: ImportResult) -> list[str]:
    """In the importer's words, without its places: nobody has seen that file."""
    told = (f"{p.at.field}: {p.sentence}" if p.at.field else p.sentence for p in result.problems)
    return list(dict.fromkeys(told))


def _dns_lines(answers: Mapping[str, Any]) -> list[str]:
    if not answers.get("zone"):
        return []
    servers: Sequence[DnsLine] = answers["dns_servers"]
    lines = [f"added zone {answers['zone']}"]
    lines += [f"added update key {answers['key_name']}"] if answers.get("key_name") else []
    return lines + [
        f"added name server {line.name}: {line.address}{', the writer' if place == 0 else ''}"
        for place, line in enumerate(servers)
    ]


def _create_dns(answers: Mapping[str, Any]) -> None:
    """Raises ValidationError."""
    key = None
    if answers.get("key_name"):
        key = UpdateKey(
            name=answers["key_name"], algorithm=answers["algorithm"], secret_reference=answers["secret_reference"]
        )
        _save(key, "update key", UpdateKeyForm)
    zone = Zone(name=answers["zone"], key=key)
    _save(zone, "zone", ZoneForm)
    servers: Sequence[DnsLine] = answers["dns_servers"]
    for place, line in enumerate(servers):
        server = NameServer(zone=zone, name=line.name, address=line.address, port=line.port, is_writer=place == 0)
        _save(server, "name server", NameServerForm)


def _save(instance: models.Model, word: str, form: type[EstateForm]) -> None:
    instance.full_clean()

    def write() -> models.Model:
        instance.save()
        return instance

    changes.save_changes(word=word, before={}, write=write, describe=form.described)
