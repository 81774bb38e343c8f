"""Evaluation: matches of a dataset -> scores that can be compared."""
