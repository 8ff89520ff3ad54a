"""Studies: run, go on, read back; several side by side."""
