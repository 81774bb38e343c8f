"""Training: a sphere mapper on frozen features, and a small backbone."""
