"""Tasks: one file per task or task source; `base` is the contract."""
