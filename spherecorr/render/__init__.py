"""Rendered training images with known viewpoint and keypoints."""
