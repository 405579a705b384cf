"""Reports of evaluations: reading the splits, figures of each method, tables, pictures."""
