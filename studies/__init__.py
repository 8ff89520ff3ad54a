"""Scripts on top of tgsr: the evidence for its defaults, benchmarks."""
