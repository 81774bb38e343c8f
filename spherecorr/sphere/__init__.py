"""Sphere maps: the mapper, its checkpoints and its losses."""
