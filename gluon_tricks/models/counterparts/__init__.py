"""Networks that timm and torchvision have too, and their weights from and to the names there.

:mod:`.table` says which networks compute the same and :mod:`.lookup` why others that look
alike do not; docs/convert.md shows both, and ``tools/check_timm.py`` compares the outputs. A module
for each kind of network says what its layers are called there. What is said here of timm and
torchvision is from their sources (timm 1.0.31, torchvision 0.28).
"""
