"""The update after a step's backward passes: gradients are summed over all devices and workers, the
optimizer updates the parameters, and whatever follows the parameters has its turn.

Two registries can be extended: :func:`optimizer`, the values of ``--optimizer``, and
:func:`after_update`.
"""

import contextlib

import mxnet as mx

from ..config import without_effect
from ..tricks.clipping import clip_norm
from ..tricks.lamb import Lamb
from ..tricks.lars import Lars
from ..tricks.momentum import Momentum
from .averaging import Average
from .master_copy import MasterCopy
from .stopping import Diverged

OPTIMIZERS = {}  # functions by the value of --optimizer
AFTER_UPDATE = []  # classes, in the order of their turns


def optimizer(name):
    """A decorator for the function that makes the optimizer of ``--optimizer name``.

    It is called as ``make(config, **settings)`` with settings that every optimizer of MXNet takes:
    learning_rate, wd and multi_precision.
    """

    def decorate(make):
        OPTIMIZERS[name] = make
        return make

    return decorate


@optimizer("nag")
def nag(config, **settings):
    """Nesterov's momentum."""
    if config.momentum_form == "outside":
        return Momentum(config.momentum, nesterov=True, **settings)
    return mx.optimizer.NAG(momentum=config.momentum, **settings)


@optimizer("sgd")
def sgd(config, **settings):
    """Plain momentum."""
    if config.momentum_form == "outside":
        return Momentum(config.momentum, **settings)
    return mx.optimizer.SGD(momentum=config.momentum, **settings)


@optimizer("lars")
def lars(config, **settings):
    """Momentum with a rate for each layer."""
    weights_only = config.layer_rates == "weights"
    return Lars(config.momentum, config.lars_eta, weights_only, **settings)


@optimizer("lamb")
def lamb(config, **settings):
    """Adam with a rate for each layer."""
    return Lamb(weights_only=config.layer_rates == "weights", **settings)


def optimizer_of(config, learning_rate):
    """The ``mx.optimizer.Optimizer`` that the flags of a run ask for."""
    settings = dict(
        learning_rate=learning_rate, wd=config.wd, multi_precision=config.dtype == "float16"
    )
    if config.clip_gradient and "clip_gradient" not in without_effect(config):
        settings.update(clip_gradient=config.clip_gradient)
    return OPTIMIZERS[config.optimizer](config, **settings)


def after_update(member):
    """A decorator for classes that act after every update, such as an average of the parameters.

    - ``name``: what its arrays are called in a checkpoint
    - ``from_config(config, layout, timetable)``: a class method; the member that the flags ask for,
      or None
    - ``begin(net, workers, running, saved)``: called when the parameters have their values on all
      devices of the workers. ``running`` are the RunningStatistics; ``saved`` are the
      :meth:`arrays` of the checkpoint from which the run resumes, on the CPU, {} if the run is new
    - ``member(step, counted)``: called after the update that ends with ``step``, which counts from
      0. ``counted`` is None, or under float16 a list with an NDArray (1,) for each device: 0 if the
      update was dropped because gradients were not finite, else 1. Must not wait
    - ``arrays()``: what a checkpoint has to hold, {key: NDArray}
    - ``in_place()``: a context in which ``net`` is the network to validate and save. ``arrays`` is
      called within it, and ``begin`` sees the parameters that were saved within it
    """
    AFTER_UPDATE.append(member)
    return member


after_update(Average)


def members_of(config, layout, timetable):
    """The members of AFTER_UPDATE that the flags of a run ask for."""
    made = [member.from_config(config, layout, timetable) for member in AFTER_UPDATE]
    return [member for member in made if member is not None]


class Update:
    """The updates of a network.

    Parameters
    ----------
    net : Block
    trainer : gluon.Trainer
        As the workers make it: it sums the gradients and does not update in a KVStore.
    loss_scale : LossScale
    timetable : Timetable
        Decides after which steps the parameters are updated.
    devices : list of Context
    max_skipped : int
        How many updates in a row may be dropped because float16 gradients are not finite.
    members : list
        See :func:`after_update`.
    clip : float
        The largest norm of the gradient; 0: no limit.
    """

    def __init__(
        self, net, trainer, loss_scale, timetable, devices, max_skipped=20, members=(), clip=0
    ):
        self.loss_scale, self.timetable, self.members = loss_scale, timetable, members
        self._net, self._parameters, self._trainer = net, net.collect_params(), trainer
        self._devices, self._max_skipped, self._clip = devices, max_skipped, clip
        self._master_copies = []  # under float16, one for each device

    @classmethod
    def from_config(cls, config, net, trainer, loss_scale, timetable, layout, devices):
        """The Update that the flags of a run ask for."""
        members = members_of(config, layout, timetable)
        skipped, clip = config.max_skipped, config.clip_norm
        return cls(net, trainer, loss_scale, timetable, devices, skipped, members, clip)

    def begin(self, workers, running, saved=None):
        """Prepare the first update, once parameters, their ``running`` statistics, optimizer states
        and loss scale have their values; ``saved`` are the :meth:`arrays` of the checkpoint from
        which the run resumes.
        """
        for member in self.members:
            own = _below(member.name + "/", saved or {})
            member.begin(self._net, workers, running, own)
        if self._trainer.optimizer.multi_precision:
            self._master_copies = [
                MasterCopy(self._trainer, number, self.loss_scale, self._clip)
                for number in range(len(self._devices))
            ]

    def scale(self, number):
        """The factor on the loss of device ``number``: a number or an NDArray (1,) there."""
        if self._master_copies:
            return self._master_copies[number].scale.value
        return self.loss_scale.scale

    def __call__(self, step):
        """If an update ends with ``step``: sum its gradients, update the parameters, and call the
        members.

        Never waits. The result is for :meth:`receive`, some steps later.
        """
        if not self.timetable.ends_update(step):
            return None
        self._trainer.allreduce_grads()
        counted = [copy.update() for copy in self._master_copies] or None
        if counted is None:
            self._clip_gradients()
            self._trainer.update(self.loss_scale.scale)
        # Gradients that add up over micro-batches and steps start again from 0.
        if any(parameter.grad_req == "add" for parameter in self._parameters.values()):
            self._parameters.zero_grad()
        for member in self.members:
            member(step, counted)
        return counted and counted[0]

    def _clip_gradients(self):
        trained = [p for p in self._parameters.values() if p.grad_req != "null"]
        for number in range(len(self._devices) if self._clip else 0):
            clip_norm([p.list_grad()[number] for p in trained], self._clip)

    def receive(self, counted, step):
        """Note whether the update of ``step`` counted. Waits until that is known.

        Raises Diverged if too many updates in a row did not.
        """
        if counted is None:
            return
        counted, scale = bool(counted.asscalar()), self.loss_scale
        scale.update(counted)
        optimizer = self._trainer.optimizer
        if not (counted or getattr(optimizer, "counts_dropped", False)):
            _take_back(optimizer)
        if scale.skipped_in_a_row > self._max_skipped:
            times = scale.skipped_in_a_row
            raise Diverged(f"gradients were not finite {times} times in a row", step)

    @contextlib.contextmanager
    def in_place(self):
        """A context in which the network is the one to validate and save."""
        with contextlib.ExitStack() as stack:
            for member in self.members:
                stack.enter_context(member.in_place())
            yield

    def arrays(self):
        """The members' arrays for a checkpoint, {name: NDArray}. Call it within
        :meth:`in_place`.
        """
        return {
            f"{member.name}/{key}": array
            for member in self.members
            for key, array in member.arrays().items()
        }


def _below(prefix, arrays):
    return {k[len(prefix) :]: array for k, array in arrays.items() if k.startswith(prefix)}


def _take_back(optimizer):
    """Undo the optimizer's counting of an update that was dropped."""
    optimizer.num_update -= 1
    for counts in optimizer._all_index_update_counts.values():
        for index in counts:
            counts[index] -= 1
