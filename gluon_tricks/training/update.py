"""What follows a step's backward passes: the gradients are summed over all devices and workers, the
optimizer updates the parameters, and what looks at updated parameters has its turn.

Two lists are open: :func:`optimizer` for values of ``--optimizer``, and :func:`after_update`.
"""

import contextlib

import mxnet as mx

from ..tricks.precision import all_finite
from .stopping import Diverged

OPTIMIZERS = {}  # functions by the value of --optimizer
AFTER_UPDATE = []  # in the order in which they have their turn


def optimizer(name):
    """A decorator for the function that makes the optimizer of ``--optimizer name``.

    It is called as ``make(config, **settings)`` with the settings that all optimizers of MXNet
    take: learning_rate, wd and multi_precision.
    """

    def decorate(make):
        OPTIMIZERS[name] = make
        return make

    return decorate


@optimizer("nag")
def nag(config, **settings):
    """Nesterov's momentum."""
    return mx.optimizer.NAG(momentum=config.momentum, **settings)


@optimizer("sgd")
def sgd(config, **settings):
    """Plain momentum."""
    return mx.optimizer.SGD(momentum=config.momentum, **settings)


def optimizer_of(config, learning_rate):
    """The ``mx.optimizer.Optimizer`` that the flags of a run ask for."""
    return OPTIMIZERS[config.optimizer](
        config, learning_rate=learning_rate, wd=config.wd, multi_precision=config.dtype == "float16"
    )


def after_update(member):
    """A decorator for classes like an average of the parameters, which follow every update.

    - ``name``: what its arrays are called in a checkpoint
    - ``from_config(config, layout, steps_per_epoch)``: a class method; the member that the flags
      ask for, or None
    - ``begin(net, devices, saved)``: the parameters have their values on all devices; ``saved`` are
      the :meth:`arrays` of the checkpoint that the run goes on from, on the CPU, {} if it is new
    - ``member(step, counted)``: step ``step``, which counts from 0, has updated the parameters.
      ``counted`` is None, or under float16 a list with an NDArray (1,) for each device: 0 if the
      update was dropped because gradients were not finite, else 1. Never waits
    - ``arrays()``: what a checkpoint has to hold, {key: NDArray}
    - ``in_place()``: a context in which ``net`` is what is to be validated and saved. ``arrays``
      is called within it, and ``begin`` sees the parameters that were saved within it
    """
    AFTER_UPDATE.append(member)
    return member


class Update:
    """The updates of a network.

    Parameters
    ----------
    net : Block
    trainer : gluon.Trainer
        As the workers make it: it sums the gradients and does not update in a KVStore.
    loss_scale : LossScale
    layout : Layout
    devices : list of Context
    max_skipped : int
        So many updates in a row may be left out because float16 gradients are not finite.
    members : list
        See :func:`after_update`.
    """

    def __init__(self, net, trainer, loss_scale, layout, devices, max_skipped=20, members=()):
        self.loss_scale, self.members = loss_scale, members
        self._net, self._trainer = net, trainer
        self._layout, self._devices, self._max_skipped = layout, devices, max_skipped
        self._trained = [p for p in net.collect_params().values() if p.grad_req != "null"]

    @classmethod
    def from_config(cls, config, net, trainer, loss_scale, layout, devices, steps_per_epoch):
        """With the members that the flags of a run ask for."""
        made = [member.from_config(config, layout, steps_per_epoch) for member in AFTER_UPDATE]
        members = [member for member in made if member is not None]
        return cls(net, trainer, loss_scale, layout, devices, config.max_skipped, members)

    def begin(self, saved=None):
        """The parameters, optimizer states and the loss scale are as the next step needs them;
        ``saved`` are the :meth:`arrays` of the checkpoint.
        """
        for member in self.members:
            prefix = member.name + "/"
            own = {
                key[len(prefix) :]: array
                for key, array in (saved or {}).items()
                if key.startswith(prefix)
            }
            member.begin(self._net, self._devices, own)

    def __call__(self, step):
        """Sum the gradients of ``step``, update the parameters, and let the members follow."""
        scale = self.loss_scale.scale
        self._trainer.allreduce_grads()
        is_float16 = self._trainer.optimizer.multi_precision
        finite = not is_float16 or self._gradients_are_finite(step)
        if finite:
            self._trainer.update(scale)
        # Their gradients add up over the micro-batches, and start again from 0.
        if self._layout.accumulate > 1:
            for parameter in self._trained:
                parameter.zero_grad()
        counted = None
        if is_float16:
            counted = [mx.nd.full((1,), float(finite), ctx=device) for device in self._devices]
        for member in self.members:
            member(step, counted)

    def _gradients_are_finite(self, step):
        """Whether those of all devices are, and the update is not to be skipped. Waits for them, so
        it is asked under float16 alone. Raises Diverged after too many skipped updates in a row.
        """
        gradients = [gradient for p in self._trained for gradient in p.list_grad()]
        finite = all_finite(gradients)
        self.loss_scale.update(finite)
        if self.loss_scale.skipped_in_a_row > self._max_skipped:
            times = self.loss_scale.skipped_in_a_row
            raise Diverged(f"gradients were not finite {times} times in a row", step)
        return finite

    @contextlib.contextmanager
    def in_place(self):
        """Within, the network is what is to be validated and saved."""
        with contextlib.ExitStack() as stack:
            for member in self.members:
                stack.enter_context(member.in_place())
            yield

    def arrays(self):
        """What a checkpoint has to hold of the members, {name: NDArray}. To be called within
        :meth:`in_place`.
        """
        return {
            f"{member.name}/{key}": array
            for member in self.members
            for key, array in member.arrays().items()
        }
