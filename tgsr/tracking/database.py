"""Reading many trials at once from MLflow's own database, and keeping it quick to search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tgsr.tracking.bulk import KNOWN_SCHEMAS, schema_version
from tgsr.tracking.names import Tag

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

__all__ = ["analyze", "read_trial_table"]


def read_trial_table(client: MlflowClient, parent_run_id: str) -> pd.DataFrame | None:
    """Read a study's finished trials in one query; None where it cannot be done: no known database, or no trial.

    MLflow's search builds every run as an object: a minute for a whole grid.
    """
    if client.tracking_uri.startswith(("http://", "https://")):
        return None
    import pandas as pd
    import sqlalchemy
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = client._tracking_client.store
    if not isinstance(store, SqlAlchemyStore) or schema_version(store.engine) not in KNOWN_SCHEMAS:
        return None
    runs = (
        "SELECT r.run_uuid FROM runs r JOIN tags p ON p.run_uuid = r.run_uuid AND p.key = 'mlflow.parentRunId' "
        "JOIN tags k ON k.run_uuid = r.run_uuid AND k.key = 'tgsr.kind' AND k.value = 'trial' "
        "WHERE p.value = :parent AND r.status = 'FINISHED' AND r.lifecycle_stage = 'active'"
    )
    facts = (
        f"SELECT run_uuid, key, value FROM params WHERE key IN ('kappa', 'xi') AND run_uuid IN ({runs}) "
        f"UNION ALL SELECT run_uuid, key, value FROM tags WHERE key = 'tgsr.trial' AND run_uuid IN ({runs})"
    )
    value = "CASE WHEN is_nan THEN NULL ELSE value END AS value"
    scores = f"SELECT run_uuid, key, {value} FROM latest_metrics WHERE run_uuid IN ({runs})"
    with store.engine.connect() as connection:
        tables = [
            pd.DataFrame(
                connection.execute(sqlalchemy.text(query), {"parent": parent_run_id}).fetchall(),
                columns=["run_id", "key", "value"],
            ).pivot(index="run_id", columns="key", values="value")
            for query in (facts, scores)
        ]
    if not len(tables[0]):
        return None
    table = tables[0].rename(columns={Tag.TRIAL: "trial"}).astype({"trial": int, "kappa": int, "xi": float})
    table = table.join(tables[1].astype(float)).reset_index().sort_values("trial", ignore_index=True)
    table.columns.name = None
    return table[["trial", "run_id", "kappa", "xi", *sorted(tables[1].columns)]]


def analyze(client: MlflowClient) -> None:
    """Let the database gather statistics: without them SQLite sorts by a metric in quadratic time."""
    if client.tracking_uri.startswith(("http://", "https://")):
        return
    import sqlalchemy
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = client._tracking_client.store
    if isinstance(store, SqlAlchemyStore) and store.engine.dialect.name in ("sqlite", "postgresql"):
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sqlalchemy.text("ANALYZE"))
