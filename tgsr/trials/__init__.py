"""A study and its trials, without a place to keep them: what is searched, and what a fit of some settings gives."""
