"""For code written for 0.1.0: what was here is now in :mod:`.transforms.paper`."""

from .transforms.paper import evaluation as EvalTransform

__all__ = ["EvalTransform"]
