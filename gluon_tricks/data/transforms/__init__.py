"""Augmentation as a list of operations, a file for each kind; :mod:`.paper` holds the lists."""
