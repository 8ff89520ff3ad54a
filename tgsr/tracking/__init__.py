"""Everything that writes to MLflow: runs, artifacts, the model registry."""
