"""What is searched: Optuna studies, their spaces, samplers and workers, and the project's entry points."""
