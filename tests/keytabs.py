"""Keytabs as MIT and Samba write them, with a key that is recognised where it must not be."""

from __future__ import annotations

import struct
from pathlib import Path

KEY = b"\x5a" * 32


def record(*names: str, realm: str = "AD.EXAMPLE", version: int = 3, wide: bool = True) -> bytes:
    """One entry, as MIT and Samba write it."""
    parts = [text.encode() for text in (realm, *names)]
    body = struct.pack("!H", len(names)) + b"".join(struct.pack("!H", len(part)) + part for part in parts)
    body += struct.pack("!IIB", 1, 0, version % 256) + struct.pack("!HH", 18, len(KEY)) + KEY
    body += struct.pack("!I", version) if wide else b""
    return struct.pack("!i", len(body)) + body


def written(tmp_path: Path, *records: bytes) -> Path:
    path = tmp_path / "svc.keytab"
    path.write_bytes(b"\x05\x02" + b"".join(records))
    return path
