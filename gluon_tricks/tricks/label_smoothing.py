"""Label smoothing (section 5.2): q_i = 1 - eps for the true class, eps / (K - 1) for each of the
others.
"""

from .compiled import compiled


def smooth(labels, classes, epsilon, form="paper"):
    """Target distributions of a batch.

    Parameters
    ----------
    labels : NDArray (n,)
        True classes, any dtype.
    classes : int
        K.
    epsilon : float
        eps; 0 gives one-hot targets.
    form : str
        ``paper``, or ``gluoncv`` for 1 - eps + eps / K and eps / K, as in the authors' code.

    Returns
    -------
    NDArray (n, K), float32, rows that sum to 1.
    """
    if epsilon == 0:  # one class alone has no others
        return labels.one_hot(classes)
    if form == "paper":
        return labels.one_hot(classes, on_value=1 - epsilon, off_value=epsilon / (classes - 1))
    if form == "gluoncv":
        return labels.one_hot(
            classes, on_value=1 - epsilon + epsilon / classes, off_value=epsilon / classes
        )
    raise ValueError(f"unknown form {form!r}: paper or gluoncv")


@compiled
def cross_entropy(logits, targets):
    """-sum_i q_i log p_i of each row: logits (n, K), targets q (n, K) -> NDArray (n,), float32."""
    return -(targets * logits.astype("float32").log_softmax(axis=-1)).sum(axis=-1)
