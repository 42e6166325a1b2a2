"""Images for training and evaluation: RecordIO files, the paper's augmentation, loaders that make
batches.
"""
