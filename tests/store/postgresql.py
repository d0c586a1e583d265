"""A PostgreSQL server of the tests' own: its own port, its own data folder, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER, PASSWORD = "doctor", "s3cret/@word"
ENCODED = "s3cret%2F%40word"


def binaries() -> Path | None:
    """The folder of the server's programs; Debian does not put them on PATH."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return folders[-1].parent if folders else None


@contextmanager
def server(programs: Path) -> Iterator[str]:
    """A running server; the address of its first database, with a password that needs escaping."""
    folder = Path(tempfile.mkdtemp(prefix="kdoctor-postgresql-"))
    as_user = _unprivileged(folder)
    data, port = folder / "data", _free_port()
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o644)
    folder.chmod(0o755)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    control = [*as_user, str(programs / "pg_ctl"), "-D", str(data), "-w"]
    try:
        initdb = [str(programs / "initdb"), "-D", str(data), "-U", USER, "-A", "scram-sha-256", "-E", "UTF8"]
        _run([*as_user, *initdb, f"--pwfile={folder / 'password'}", "--no-sync"])
        _run([*control, "-l", str(folder / "log"), "-o", options, "start"])
        try:
            yield f"postgresql://{USER}:{ENCODED}@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], capture_output=True, check=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged(folder: Path) -> list[str]:
    """The server refuses to run as root: then it runs as the user that Debian's package made."""
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam("postgres")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, cwd="/", check=False)
    if done.returncode:
        raise RuntimeError(f"{command[-4:]}: {done.stderr.decode(errors='replace')[-800:]}")
