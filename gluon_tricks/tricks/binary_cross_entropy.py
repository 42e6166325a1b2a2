"""Binary cross entropy: for each class, is it in the image or not (Wightman, Touvron, Jegou 2021)?

With the sigmoid s of a logit and its target t, the loss is the mean over the K classes of
-t log s - (1 - t) log (1 - s).
"""

from .compiled import compiled


@compiled
def binary_cross_entropy(logits, targets, threshold=0.0):
    """The loss of each row: logits (n, K), targets (n, K) in [0, 1] -> NDArray (n,), float32.

    With a ``threshold`` above 0, targets above it count as 1 and the others as 0, so that a mixed
    image shows the classes of both its images.
    """
    logits = logits.astype("float32")
    if threshold:
        targets = targets > threshold
    # log (1 + exp x) without overflow
    softplus = logits.relu() + (-logits.abs()).exp().log1p()
    return (softplus - logits * targets).mean(axis=-1)
