"""Scripts on top of tgsr: the paper's experiments, the evidence for its defaults, benchmarks."""
