"""Knowledge distillation (section 5.3).

The loss is CE(p, softmax(z)) + T^2 CE(softmax(r / T), softmax(z / T)).
"""

from .compiled import compiled
from .label_smoothing import cross_entropy


@compiled
def soft_loss(logits, teacher_logits, temperature):
    """T^2 CE(softmax(r / T), softmax(z / T)) of each row: student's z and teacher's r (n, K) ->
    NDArray (n,), float32.
    """
    softened = (teacher_logits.astype("float32") / temperature).softmax(axis=-1)
    return temperature**2 * cross_entropy(logits.astype("float32") / temperature, softened)


@compiled
def distill(hard, soft, hard_weight=None):
    """The two losses (n,) combined: their sum (the paper), or h hard + (1 - h) soft (the authors'
    code, h = 0.5).
    """
    if hard_weight is None:
        return hard + soft
    return hard_weight * hard + (1 - hard_weight) * soft
