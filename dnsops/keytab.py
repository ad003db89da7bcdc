"""Which accounts a keytab holds (MIT file format, version 0x502). Its keys are skipped, never read into anything."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from dnsops.secrets import SecretError

_MAGIC = b"\x05\x02"
LARGEST_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a keytab: whose, which version of it, and its encryption type's number (RFC 3961 section 8)."""

    principal: str
    version: int
    encryption: int


def path_of(reference: str) -> Path:
    """The file that ``file:/path`` names. Raises SecretError: a keytab can not be in the environment."""
    scheme, _, rest = reference.partition(":")
    if scheme != "file" or not rest.startswith("/"):
        raise SecretError("A keytab is a file: say where it is, such as file:/etc/a365admin/svc.keytab.")
    return Path(rest)


def check(reference: str, principal: str) -> None:
    """Raise SecretError unless the keytab can be read and holds a key of ``principal``."""
    path = path_of(reference)
    names = sorted({entry.principal for entry in read(path)})
    if principal in names:
        return
    found = ", ".join(names) or "no account at all"
    alike = " Capitals count." if principal.lower() in {name.lower() for name in names} else ""
    raise SecretError(f"The keytab {path} holds no key of {principal}; it holds {found}.{alike} Make the names agree.")


def read(path: Path) -> list[Entry]:
    """The entries of a keytab. Raises SecretError."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise SecretError(f"The keytab {path} is too large to be one. Check its path.")
        content = path.read_bytes()
    except OSError as error:
        raise SecretError(
            f"The keytab {path} cannot be read ({error.strerror}). Check its path and who may read it."
        ) from None
    if content[:2] != _MAGIC:
        raise SecretError(f"The file {path} is no keytab. Write it with ktpass, ktutil or samba-tool.")
    try:
        return _entries(content)
    except (struct.error, IndexError, UnicodeDecodeError):
        raise SecretError(f"The keytab {path} is damaged. Write it again.") from None


def _entries(content: bytes) -> list[Entry]:
    entries, at = [], len(_MAGIC)
    while at + 4 <= len(content):
        (size,) = struct.unpack_from("!i", content, at)
        at += 4
        if size == 0:
            break
        if size > 0:  # below 0: a hole that a deleted entry left
            if at + size > len(content):
                raise IndexError(size)
            entries.append(_entry(content[at : at + size]))
        at += abs(size)
    return entries


def _entry(record: bytes) -> Entry:
    (count,) = struct.unpack_from("!H", record, 0)
    at, texts = 2, []
    for _ in range(count + 1):  # the realm comes first
        (length,) = struct.unpack_from("!H", record, at)
        at += 2
        if at + length > len(record):
            raise IndexError(length)
        texts.append(record[at : at + length].decode("utf-8"))
        at += length
    at += 8  # name type and time
    version = record[at]
    encryption, length = struct.unpack_from("!HH", record, at + 1)
    at += 5 + length
    if at + 4 <= len(record):  # newer writers add the version in 32 bits
        version = struct.unpack_from("!I", record, at)[0] or version
    return Entry(f"{'/'.join(texts[1:])}@{texts[0]}", version, encryption)
