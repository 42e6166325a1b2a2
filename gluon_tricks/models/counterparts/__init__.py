"""Networks that timm and torchvision also have, and the names of their parameters there.

:mod:`.table` lists the networks that compute the same, and :mod:`.lookup` explains why similar ones
do not; docs/convert.md shows both, and ``tools/check_timm.py`` compares the outputs. The other
modules have the names of the layers, one for each kind of network. Facts about timm and torchvision
are from their sources (timm 1.0.31, torchvision 0.28).
"""
