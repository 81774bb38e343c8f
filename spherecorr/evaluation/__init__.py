"""Evaluation: matches of a dataset -> figures that can be compared."""
