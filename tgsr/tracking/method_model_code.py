"""The script that MLflow runs to load a registered model of another method than TGSR ("models from code")."""

from mlflow.models import set_model

from tgsr.tracking.method_model import MethodModel

set_model(MethodModel())
