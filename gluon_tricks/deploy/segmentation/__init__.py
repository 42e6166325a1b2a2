"""Trained networks for segmentation: pictures to masks, their figures and their pictures."""
