"""Everything that writes to MLflow or reads from it: runs, artifacts, the model registry."""
