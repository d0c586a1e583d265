"""The tables of the history, as queries use them. What makes them stands in ``migrations``; a test holds both equal.

All names begin with ``kdoctor_``, so that the tables can live in a database that others use, too.
"""

from __future__ import annotations

import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

VERSION_TABLE = "kdoctor_schema"
HEAD = "0003"  # the newest revision in migrations/versions

metadata = sa.MetaData()


class Utc(sa.types.TypeDecorator[datetime.datetime]):
    """A moment in UTC: SQLite keeps no time zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime.datetime | None, dialect: Dialect) -> datetime.datetime | None:
        """The moment as the database keeps it."""
        if value is None:
            return None
        value = value.astimezone(datetime.timezone.utc)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime.datetime | None:
        """The moment with its time zone."""
        if value is None or dialect.name != "sqlite":
            return value if value is None else value.astimezone(datetime.timezone.utc)
        moment: datetime.datetime = value.replace(tzinfo=datetime.timezone.utc)
        return moment


class Json(sa.types.TypeDecorator[Any]):
    """Plain data; on PostgreSQL in the form that can be asked into."""

    impl = sa.JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        """The type of this database."""
        if dialect.name != "postgresql":
            return dialect.type_descriptor(sa.JSON())
        from sqlalchemy.dialects.postgresql import JSONB  # noqa: PLC0415 -- 50 ms that SQLite can do without

        return dialect.type_descriptor(JSONB())


Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

environments = sa.Table(
    "kdoctor_environments",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("sha256", sa.String(64), nullable=False, unique=True),
    sa.Column("python", sa.Text),
    sa.Column("tensorflow", sa.Text),
    sa.Column("keras", sa.Text),
    sa.Column("numpy", sa.Text),
    sa.Column("cuda", sa.Text),
    sa.Column("cudnn", sa.Text),
    sa.Column("driver", sa.Text),
    sa.Column("gpus", sa.Text),
    sa.Column("cpu", sa.Text),
    sa.Column("distribution", sa.Text),
    sa.Column("image", sa.Text),
    sa.Column("image_digest", sa.Text, index=True),
    sa.Column("base_digest", sa.Text),
    sa.Column("snapshot", Json, nullable=False),
)

documents = sa.Table(
    "kdoctor_documents",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

runs = sa.Table(
    "kdoctor_runs",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("ran_at", Utc, nullable=False, index=True),
    sa.Column("recorded_at", Utc, nullable=False),
    sa.Column("deployed_at", Utc),
    sa.Column("host", sa.Text),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("subject_kind", sa.Text, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("exit_code", sa.Integer),
    sa.Column("environment_id", Id, sa.ForeignKey("kdoctor_environments.id"), nullable=False, index=True),
    sa.Column("compared_with_id", Id, sa.ForeignKey("kdoctor_environments.id")),
    sa.Column("model", sa.Text),
    sa.Column("optimizer", sa.Text),
    sa.Column("parameters", Json),
    sa.Column("seeds", Json),
    sa.Column("device", sa.Text),
    sa.Column("accuracy_metric", sa.Text),
    sa.Column("accuracy", sa.Float),
    sa.Column("accuracy_sd", sa.Float),
    sa.Column("loss", sa.Float),
    sa.Column("data_path", sa.Text),
    sa.Column("data_sha256", sa.Text),
    sa.Column("weights_path", sa.Text),
    sa.Column("weights_sha256", sa.Text),
    sa.Column("drift_class", sa.Text),
    sa.Column("drift_label", sa.Text),
    sa.Column("drift_difference", sa.Float),
    sa.Column("seconds", sa.Float),
    sa.Column("kdoctor", sa.Text, nullable=False),
    sa.Column("document_sha256", sa.String(64), sa.ForeignKey("kdoctor_documents.sha256"), index=True),
    sa.Column("document_rest", Json),
)

metrics = sa.Table(
    "kdoctor_epochs",
    metadata,
    sa.Column("run_id", Id, sa.ForeignKey("kdoctor_runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("epoch", sa.Integer, primary_key=True),
    sa.Column("metric", sa.Text, primary_key=True),
    sa.Column("value", sa.Float),
)

findings = sa.Table(
    "kdoctor_findings",
    metadata,
    sa.Column("run_id", Id, sa.ForeignKey("kdoctor_runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("code", sa.Text, nullable=False, index=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("machine", sa.Text),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("path", sa.Text),
    sa.Column("line", sa.Integer),
    sa.Column("fingerprint", sa.Text, nullable=False),
)

tags = sa.Table(
    "kdoctor_tags",
    metadata,
    sa.Column("run_id", Id, sa.ForeignKey("kdoctor_runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("tag", sa.Text, primary_key=True),
)

references = sa.Table(
    "kdoctor_references",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("run_id", Id, sa.ForeignKey("kdoctor_runs.id"), nullable=False, index=True),
    sa.Column("accepted_at", Utc, nullable=False),
    sa.Column("accepted_by", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("file", sa.Text),
)
