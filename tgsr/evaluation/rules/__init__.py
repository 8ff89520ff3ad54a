"""The selection rules, a file for each family; `tgsr.evaluation.selection` lists them."""
