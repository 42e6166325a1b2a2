"""``gluon-tricks export`` for detection: the thresholds of detections are part of the graph."""

from .evaluate_detection import add_thresholds


def add_arguments(add):
    """Add the flags."""
    add_thresholds(add, "[that of training's validation]")


def main(args, model):
    """Give the network the thresholds from the flags."""
    model.choose(args.score, args.overlap)
