"""The schema of a history, revision by revision."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from doctor.store.place import Place, StoreError
from doctor.store.tables import HEAD, VERSION_TABLE

APPLICATION_ID = 0x6B646F63  # "kdoc", in the header of our SQLite files
_MIGRATING = threading.Lock()  # Alembic keeps the context of a migration in a global


def migrate(connection: Connection, place: Place, to: str = HEAD) -> None:
    """Bring the schema to a revision, inside the connection's transaction; several processes may try at once.

    Raises:
        StoreError: the database is another program's, or its schema is newer.
    """
    from alembic.config import Config  # noqa: PLC0415 -- 90 ms, only where there is something to do
    from alembic.runtime.environment import EnvironmentContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    found = revision_of(connection)
    if found == to:
        return
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    if found is not None and found not in known:
        raise StoreError(f"history {place}: was written by a newer kdoctor (schema {found[:40]}): update kdoctor")
    if found is None:
        _refuse_strangers(connection, place)

    def steps(revision: Any, _: Any) -> Any:
        return scripts._upgrade_revs(to, revision)

    with _MIGRATING, EnvironmentContext(config, scripts, fn=steps) as context:
        context.configure(connection=connection, version_table=VERSION_TABLE, transactional_ddl=True)
        context.run_migrations()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")


def revision_of(connection: Connection) -> str | None:
    """The schema's revision; None where there is no schema of ours."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 -- a constant
    return str(found) if found is not None else None


def _refuse_strangers(connection: Connection, place: Place) -> None:
    """An SQLite file with tables of others was named by mistake; in a database ours stand beside others'."""
    names = [name for name in sa.inspect(connection).get_table_names() if name != VERSION_TABLE]
    ours = [name for name in names if name.startswith("kdoctor_")]
    if ours or (names and connection.dialect.name == "sqlite"):
        raise StoreError(
            f"history {place}: is a database of another program ({names[0][:40]}…); it is left as it is: name another"
        )
