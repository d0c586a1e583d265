"""Views for the common questions of a BI tool.

``kdoctor_run_summary``: one row a run with its environment's versions, its counts of findings, and whether it was ever
accepted. ``kdoctor_accuracy``: canary and training runs in order of time, each with the accuracy, the environment and
the data of the run before it in its series. ``kdoctor_finding_history``: each finding by its fingerprint, when it was
first and last seen, and in how many runs.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

RUN_SUMMARY = """
CREATE VIEW kdoctor_run_summary AS
SELECT r.id, r.uid, r.kind, r.ran_at, r.deployed_at, r.host, r.subject, r.verdict, r.exit_code,
       r.model, r.optimizer, r.device, r.accuracy_metric, r.accuracy, r.accuracy_sd, r.loss,
       r.data_sha256, r.weights_path, r.weights_sha256, r.drift_class, r.drift_label, r.drift_difference,
       e.sha256 AS environment_sha256, e.python, e.tensorflow, e.keras, e.numpy, e.cuda, e.cudnn, e.driver,
       e.gpus, e.image, e.image_digest,
       (SELECT count(*) FROM kdoctor_findings f WHERE f.run_id = r.id AND f.severity = 'error') AS errors,
       (SELECT count(*) FROM kdoctor_findings f WHERE f.run_id = r.id AND f.severity = 'warning') AS warnings,
       (SELECT max(a.accepted_at) FROM kdoctor_references a WHERE a.run_id = r.id) AS accepted_at
FROM kdoctor_runs r JOIN kdoctor_environments e ON e.id = r.environment_id
"""

ACCURACY = """
CREATE VIEW kdoctor_accuracy AS
SELECT r.id, r.kind, r.subject, r.model, r.host, r.device, r.ran_at, r.accuracy, r.loss,
       lag(r.accuracy) OVER series AS accuracy_before,
       r.accuracy - lag(r.accuracy) OVER series AS difference,
       r.environment_id,
       lag(r.environment_id) OVER series AS environment_before_id,
       r.data_sha256,
       lag(r.data_sha256) OVER series AS data_before_sha256
FROM kdoctor_runs r
WHERE r.kind IN ('canary', 'training') AND r.accuracy IS NOT NULL
WINDOW series AS (PARTITION BY r.kind, r.subject, r.model, r.host, r.device ORDER BY r.ran_at, r.id)
"""

FINDING_HISTORY = """
CREATE VIEW kdoctor_finding_history AS
SELECT f.fingerprint, f.code, f.name, r.subject, min(r.ran_at) AS first_seen, max(r.ran_at) AS last_seen,
       count(DISTINCT f.run_id) AS runs
FROM kdoctor_findings f JOIN kdoctor_runs r ON r.id = f.run_id
GROUP BY f.fingerprint, f.code, f.name, r.subject
"""


def upgrade() -> None:
    """Make the views."""
    for statement in (RUN_SUMMARY, ACCURACY, FINDING_HISTORY):
        op.execute(statement)
