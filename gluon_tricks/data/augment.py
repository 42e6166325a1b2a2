"""What 0.1.0 documented here is now in :mod:`.transforms.paper`; this name of it still works."""

from .transforms.paper import evaluation as EvalTransform

__all__ = ["EvalTransform"]
