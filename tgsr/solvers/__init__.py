"""Algorithm 1 and its parts: arrays in, a solution out."""
