"""Trained networks for detection: boxes in images, and their average precision."""
