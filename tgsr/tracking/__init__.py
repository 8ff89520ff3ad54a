"""Where results are kept: MLflow's client, stored studies, and the names under which they are stored."""

from tgsr.tracking.client import open_client

__all__ = ["open_client"]
