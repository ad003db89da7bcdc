"""From a bare Python to the environment that the product runs in. Standard library only; imports nothing of ours.

The environment is ``.venv`` beside ``manage.py``, or ``A365_VENV``. Each requirements file is installed once; a stamp
with the file's hash is written only after success, so that a broken installation is done again. Two first starts at
once are safe: the second waits for the first. Somebody's own active environment, or a container image with
``A365_NO_BOOTSTRAP=1``, is used as it is.

Must be readable by Python 3.7 (see ``manage.py``).
"""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List, Optional

MINIMUM = (3, 11)
NEWER_PYTHONS = ("python3.14", "python3.13", "python3.12", "python3.11")
DEVELOPERS_COMMANDS = ("test", "bench", "lock")
BASE, TEST, POSTGRES = "requirements.txt", "requirements/test.txt", "requirements/postgres.txt"

NETWORK_SIGNS = re.compile(
    r"NewConnectionError|Failed to establish|name resolution|Name or service not known|Network is unreachable"
    r"|timed out|ProxyError|Max retries|SSLError|No matching distribution",
    re.IGNORECASE,
)
COLLECTED = re.compile(
    r"^(?:Collecting |Requirement already satisfied: |Processing (?:.*/)?)([A-Za-z0-9](?:[A-Za-z0-9_.]|-(?!\d))*)"
)


class SetupError(Exception):
    """Setting up cannot go on; the text tells the user what to do."""


def enter_environment(root: Path, argv: List[str]) -> None:
    """Return when this process runs in a complete environment; otherwise make it and start again inside it.

    Ends the process, with a sentence, when that is not possible.
    """
    if uses_own_environment(environment_path(root)):
        return
    try:
        if sys.version_info < MINIMUM:
            _exec(newer_python(), argv)
        venv = environment_path(root)
        installed = prepare(root, venv, required_files(argv))
    except SetupError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Interrupted while installing. Run the same command again: it goes on from there.")
    if installed or Path(sys.prefix).resolve() != venv.resolve():
        _exec(str(venv / "bin" / "python"), argv)


def environment_path(root: Path) -> Path:
    """Where the environment is or will be."""
    return Path(os.environ.get("A365_VENV") or root / ".venv").absolute()


def uses_own_environment(ours: Path) -> bool:
    """Say whether the user has an environment of their own active, or forbids us to make one."""
    if os.environ.get("A365_NO_BOOTSTRAP"):
        return True
    return sys.prefix != sys.base_prefix and Path(sys.prefix).resolve() != ours.resolve()


def newer_python() -> str:
    """Find a new enough Python beside an old default one."""
    for name in NEWER_PYTHONS:
        found = shutil.which(name)
        if found and _runs(found):
            return found
    raise SetupError(
        "Python {}.{} or newer is needed; this is {}, and no newer one is on the PATH.".format(
            MINIMUM[0], MINIMUM[1], sys.version.split()[0]
        )
    )


def required_files(argv: List[str]) -> List[str]:
    """Which requirements files this command needs."""
    files = [BASE]
    if argv[1:2] and argv[1] in DEVELOPERS_COMMANDS:
        files.append(TEST)
    elif os.environ.get("DATABASE_URL", "").startswith("postgres"):
        files.append(POSTGRES)
    return files


def prepare(root: Path, venv: Path, files: List[str]) -> bool:
    """Make the environment complete for ``files``; say whether anything had to be installed."""
    if all(_is_installed(root, venv, name) for name in files):
        return False
    import fcntl

    venv.parent.mkdir(parents=True, exist_ok=True)
    with (venv.parent / (venv.name + ".lock")).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("Another start is installing already; waiting for it …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [name for name in files if not _is_installed(root, venv, name)]
        if missing:
            _install_all(root, venv, missing)
    return True


def stamp_path(venv: Path, requirements: str) -> Path:
    """The file that says which version of ``requirements`` is installed in ``venv``."""
    return venv / ".a365" / (requirements.replace("/", "-") + ".sha256")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_installed(root: Path, venv: Path, requirements: str) -> bool:
    stamp = stamp_path(venv, requirements)
    return (venv / "bin" / "python").exists() and stamp.exists() and stamp.read_text() == _digest(root / requirements)


def _install_all(root: Path, venv: Path, files: List[str]) -> None:
    started = time.monotonic()
    python = venv / "bin" / "python"
    if not _runs(str(python)):
        _say("First start: making an environment in {}".format(venv))
        _make_venv(venv)
    for name in files:
        _install(root / name, pip_command(python))
        stamp = stamp_path(venv, name)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(_digest(root / name))
    _say("Installed in {:.0f} s.".format(time.monotonic() - started))


def _make_venv(venv: Path) -> None:
    has_pip = importlib.util.find_spec("ensurepip") is not None
    if not has_pip and importlib.util.find_spec("pip") is None:
        raise SetupError(
            "This Python cannot make environments: its venv module is incomplete. On Debian and Ubuntu: "
            "sudo apt install python3-venv. Then run this again. (Or activate an environment of your own, with "
            "requirements.txt installed in it.)"
        )
    # A process of its own: an interrupted or failed ensurepip leaves nothing behind in this one.
    command = [sys.executable, "-m", "venv", "--clear", str(venv)] + ([] if has_pip else ["--without-pip"])
    made = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if made.returncode != 0:
        raise SetupError(
            "The environment {} could not be made:\n{}\nOn Debian and Ubuntu: sudo apt install python3-venv.".format(
                venv, made.stdout.decode(errors="replace").strip()
            )
        )


def pip_command(python: Path) -> List[str]:
    """How to run pip for the environment of ``python``: its own, or this Python's where it has none."""
    if _runs(str(python), "import pip"):
        return [str(python), "-m", "pip"]
    return [sys.executable, "-m", "pip", "--python", str(python)]


def count_requirements(text: str) -> int:
    """How many packages a pinned requirements file names (those for other systems included)."""
    return sum(1 for line in text.splitlines() if re.match(r"^[A-Za-z0-9]", line))


def _install(requirements: Path, pip: List[str]) -> None:
    options = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--require-hashes"]
    command = [*pip, "install", *options, "-r", str(requirements)]
    total = count_requirements(requirements.read_text())
    _say("Installing {} packages from {}".format(total, requirements.name))
    environment = dict(os.environ, PIP_USER="0", PYTHONUNBUFFERED="1", PIP_ROOT_USER_ACTION="ignore")
    tail = []  # type: List[str]
    seen = {}  # type: Dict[str, int]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        if process.stdout is not None:
            for raw in process.stdout:
                line = raw.decode(errors="replace").rstrip()
                tail = [*tail[-40:], line]
                _progress(progress_line(line, seen, total))
    _progress_end()
    if process.returncode != 0:
        raise SetupError(explain_failure("\n".join(tail)))


def progress_line(line: str, seen: Dict[str, int], total: int) -> Optional[str]:
    """What one line of pip's output means to the user, or None. ``seen`` collects the packages met so far."""
    collected = COLLECTED.match(line)
    if collected:
        name = collected.group(1)
        seen.setdefault(name.lower(), len(seen) + 1)
        return "Fetching {} … {}/{}".format(name, len(seen), total)
    if line.startswith("Installing collected packages"):
        return "Unpacking {} packages …".format(line.count(",") + 1)
    return None


def explain_failure(output: str) -> str:
    """One sentence and the end of pip's own words."""
    last = "\n".join("    " + line for line in output.splitlines()[-8:])
    if "DO NOT MATCH THE HASHES" in output:
        return "A downloaded package is not the one that was pinned (its hash differs); nothing was kept.\n" + last
    if NETWORK_SIGNS.search(output):
        return (
            "The packages could not be fetched. Is there a network, and does it need a proxy (HTTPS_PROXY) or your own "
            "package index (PIP_INDEX_URL)? Then run the same command again.\npip said:\n" + last
        )
    return "Installing failed. Run the same command again once the cause is gone.\npip said:\n" + last


def _runs(python: str, code: str = "import sys; sys.exit(sys.version_info < (3, 11))") -> bool:
    try:
        done = subprocess.run(
            [python, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _exec(python: str, argv: List[str]) -> None:
    sys.stdout.flush()
    os.execv(python, [python, *argv])  # noqa: S606 (no shell is the point)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _progress(text: Optional[str]) -> None:
    if text is None:
        return
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K  " + text)
        sys.stderr.flush()
    else:
        _say("  " + text)


def _progress_end() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
