"""Datasets: one reader each, all yielding the records of `records`."""
