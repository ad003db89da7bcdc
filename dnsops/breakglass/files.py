"""The files of break-glass, key and bundle: written whole or not at all, readable by owner and group only."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from dnsops.breakglass.bundle import Bundle, BundleError, seal, unseal

KEY_BYTES = 32
MODE = 0o640


def read_key(path: Path) -> bytes:
    """The key that seals. Raises BundleError."""
    try:
        key = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is not text"
        raise BundleError(
            f"The key file {path} cannot be read ({why}). Set A365_BREAKGLASS_KEY, or be a user who may read it."
        ) from None
    if len(key) < 2 * KEY_BYTES:
        raise BundleError(f"The key file {path} holds {len(key)} characters, expected at least {2 * KEY_BYTES}.")
    return key.encode()


def ensure_key(path: Path) -> bytes:
    """The key that seals, made where there is none yet. Raises BundleError."""
    if not path.exists():
        try:
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            fresh = _beside(path, (secrets.token_hex(KEY_BYTES) + "\n").encode())
            try:
                os.link(fresh, path)  # two at once: the first one's key stays
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        except OSError as error:
            raise BundleError(f"The key file {path} cannot be made ({error.strerror}).") from error
    return read_key(path)


def read_bundle(path: Path, key: bytes) -> Bundle:
    """The bundle in this file. Raises BundleError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"The bundle {path} cannot be read ({error.strerror}). Set A365_BREAKGLASS_BUNDLE, or take a copy "
            "of it from another machine."
        ) from None
    return unseal(data, key)


def write_bundle(path: Path, bundle: Bundle, key: bytes) -> None:
    """Put it in the place of the one before, in one go. Raises BundleError."""
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        fresh = _beside(path, seal(bundle, key))
        fresh.replace(path)
    except OSError as error:
        raise BundleError(f"The bundle {path} cannot be written ({error.strerror}).") from error


def _beside(path: Path, data: bytes) -> Path:
    """A finished file next to ``path``, on the disk, readable by owner and group only."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), MODE)
        os.fsync(file.fileno())
    return Path(name)
