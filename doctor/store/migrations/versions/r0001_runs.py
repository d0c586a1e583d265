"""Environments, documents, runs, epochs, findings and tags."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "kdoctor_environments",
        sa.Column("id", ID, primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False, unique=True),
        *(
            sa.Column(name, sa.Text)
            for name in ("python", "tensorflow", "keras", "numpy", "cuda", "cudnn", "driver", "gpus", "cpu")
        ),
        sa.Column("distribution", sa.Text),
        sa.Column("image", sa.Text),
        sa.Column("image_digest", sa.Text),
        sa.Column("base_digest", sa.Text),
        sa.Column("snapshot", JSON, nullable=False),
    )
    op.create_table(
        "kdoctor_documents",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "kdoctor_runs",
        sa.Column("id", ID, primary_key=True),
        sa.Column("uid", sa.String(32), nullable=False, unique=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("ran_at", TIME, nullable=False),
        sa.Column("recorded_at", TIME, nullable=False),
        sa.Column("deployed_at", TIME),
        sa.Column("host", sa.Text),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("subject_kind", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("exit_code", sa.Integer),
        sa.Column("environment_id", ID, sa.ForeignKey("kdoctor_environments.id"), nullable=False),
        sa.Column("compared_with_id", ID, sa.ForeignKey("kdoctor_environments.id")),
        sa.Column("model", sa.Text),
        sa.Column("optimizer", sa.Text),
        sa.Column("parameters", JSON),
        sa.Column("seeds", JSON),
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
        sa.Column("document_sha256", sa.String(64), sa.ForeignKey("kdoctor_documents.sha256")),
        sa.Column("document_rest", JSON),
    )
    op.create_table(
        "kdoctor_epochs",
        _run_id(),
        sa.Column("epoch", sa.Integer, primary_key=True),
        sa.Column("metric", sa.Text, primary_key=True),
        sa.Column("value", sa.Float),
    )
    op.create_table(
        "kdoctor_findings",
        _run_id(),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("machine", sa.Text),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("path", sa.Text),
        sa.Column("line", sa.Integer),
        sa.Column("fingerprint", sa.Text, nullable=False),
    )
    op.create_table("kdoctor_tags", _run_id(), sa.Column("tag", sa.Text, primary_key=True))
    for table, column in (
        ("environments", "image_digest"),
        ("runs", "ran_at"),
        ("runs", "environment_id"),
        ("runs", "document_sha256"),
        ("findings", "code"),
    ):
        op.create_index(f"ix_kdoctor_{table}_{column}", f"kdoctor_{table}", [column])


def _run_id() -> sa.Column[int]:
    return sa.Column("run_id", ID, sa.ForeignKey("kdoctor_runs.id", ondelete="CASCADE"), primary_key=True)
