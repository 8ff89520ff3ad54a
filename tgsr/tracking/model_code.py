"""The script that MLflow runs to load a registered model ("models from code")."""

from mlflow.models import set_model

from tgsr.tracking.model import TgsrModel

set_model(TgsrModel())
