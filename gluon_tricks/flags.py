"""How flags are defined, parsed, checked, written as JSON and compared.

A set of flags is a dataclass whose fields are made by :func:`flag`; :mod:`.config` has the only
one. Nothing here refers to a particular flag.
"""

import argparse
import contextlib
import dataclasses
import math
import os
from functools import partial
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .errors import UserError
from .files import check_output
from .text import printable


class ConfigError(UserError):
    """Flags that are wrong, contradict each other, or would have no effect."""


class Kind(NamedTuple):
    """The type of a flag's values."""

    parse: Callable[[str], Any]  # argparse's type: text -> value
    metavar: str
    fits: Callable[[Any], bool]  # whether a value read from JSON is one of this kind


class Valid(NamedTuple):
    """Which values of its kind a flag may have."""

    holds: Callable[[Any], bool]
    otherwise: str  # the end of the error for any other value, after "--flag is VALUE"


# The defaults shown in the help: for each case ("detection"), the values that differ from the
# fields' own. Those of the first case are shown without its name.
Defaults = Mapping[str, Mapping[str, Any]]


class Needs(NamedTuple):
    """What a flag needs to have an effect."""

    holds: Callable[[Any], bool]  # given the whole set of flags
    text: str  # what it needs, in the message's words


def flag(
    default: Any,
    help: str,
    kind: Optional[Kind] = None,
    valid: Optional[Valid] = None,
    needs: Optional[Needs] = None,
    choices: Optional[Sequence] = None,
    bare: Any = None,
    names: Sequence[str] = (),
    section: str = "",
    free: bool = False,
    group: str = "",
) -> Any:
    """A field of a dataclass of flags.

    ``kind`` follows from the field's type if it is int, float, str or bool. ``bare`` is the value
    if the flag is given without one (for a bool: True), ``names`` are alternative spellings,
    ``section`` is the paper's, and ``group`` is the heading in the help. A resumed run may change a
    ``free`` flag, because the trained parameters do not depend on it.
    """
    metadata = {name: value for name, value in locals().items() if name != "default"}
    return dataclasses.field(default=default, metadata=metadata)


MOST = 2**31 - 1  # MXNet counts in int32


# ---- kinds of values


def user_path(text: str) -> str:
    """A path as a user types it: ``~`` is the home folder, even in ``--flag=~/x``, which shells do
    not expand.

    Raises argparse's error if it is empty, as with an unset shell variable: some functions would
    take it for the current folder, others for a flag that was not given.
    """
    if not text:
        raise argparse.ArgumentTypeError("is empty, but a path is needed")
    return os.path.expanduser(text)


def output_file(kind: str) -> Callable[[str], str]:
    """The path of a file that a command writes, checked before the command does its work.

    ``kind``: one of :data:`.files.BEGINNINGS`. "-" is standard output, for JSON.
    """

    def path_of(text):
        path = user_path(text)
        if (kind, path) != ("JSON", "-"):
            check_output(path, kind)
        return path

    return path_of


def path_or_none(text: str) -> str:
    """As :func:`user_path`, but "" is allowed and means none."""
    return text and user_path(text)


def on_or_off(text: str) -> bool:
    """The value of ``--flag 1`` or ``--flag 0``."""
    if text.lower() in ("1", "true", "on", "yes"):
        return True
    if text.lower() in ("0", "false", "off", "no"):
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither 1 nor 0")


def numbers(count: int = 0, of: type = float) -> Kind:
    """A tuple of ``count`` numbers (0: any count), given as ``1,2``."""
    wanted = f"{count} numbers" if count else "numbers"
    letter = "N" if of is int else "X"

    def parse(text):
        try:
            values = tuple(of(part) for part in text.replace(",", " ").split())
        except ValueError:
            values = None
        if values is None or (count and len(values) != count):
            raise argparse.ArgumentTypeError(f"{text!r} is not a list of {wanted} such as 1,2")
        return values

    def fits(value):
        with contextlib.suppress(argparse.ArgumentTypeError):
            return isinstance(value, list) and parse(",".join(map(repr, value))) is not None
        return False

    return Kind(parse, ",".join([letter] * count) if count else f"{letter},...", fits)


def by_epoch(text: str) -> Tuple[Tuple[int, float], ...]:
    """``30:x10,60:x2`` -> ((30, 10.0), (60, 2.0)): epochs, and the factor from each on.

    Raises argparse's error for other text, epochs that do not ascend, and factors that are not
    above 1.
    """
    try:
        pairs = [part.split(":") for part in text.replace(",", " ").split()]
        found = tuple((int(epoch), float(factor.lstrip("x"))) for epoch, factor in pairs)
    except ValueError:
        found = ((0, 0.0),)
    epochs = [epoch for epoch, _ in found]
    if epochs != sorted(set(epochs)) or any(e < 0 or not 1 < q <= MOST for e, q in found):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a list of ascending epochs with factors above 1, such as 30:x10,60:x2"
        )
    return found


def _by_epoch_text(text):
    """The same list in its canonical spelling."""
    return ",".join(f"{epoch}:x{_short(factor)}" for epoch, factor in by_epoch(text))


def _short(number):
    """The shortest text of a number that reads back as exactly that number."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


def _is_by_epoch(value):
    with contextlib.suppress(argparse.ArgumentTypeError):
        return isinstance(value, str) and by_epoch(value) is not None
    return False


BY_EPOCH = Kind(_by_epoch_text, "EPOCH:xX,...", _is_by_epoch)


def is_number(value: Any, of: type = float) -> bool:
    """Whether a value from JSON is a number (``of`` int: a whole one)."""
    kinds = (int, float) if of is float else int
    return isinstance(value, kinds) and not isinstance(value, bool)


PATH = Kind(path_or_none, "PATH", lambda value: isinstance(value, str))
KINDS: Dict[Any, Kind] = {
    int: Kind(int, "N", partial(is_number, of=int)),
    float: Kind(float, "X", is_number),
    str: Kind(str, "S", lambda value: isinstance(value, str)),
    bool: Kind(on_or_off, "0|1", lambda value: isinstance(value, bool)),
}


def _kind(field: dataclasses.Field) -> Kind:
    return field.metadata["kind"] or KINDS[field.type]


# ---- ranges


# Within these limits the products of several flags stay normal float32 numbers (from 1.2e-38).
SMALLEST, LARGEST = 1e-15, 1e15


def at_least(least: float, most: float = MOST) -> Valid:
    """Values from ``least`` to ``most``."""
    bound = f" and at most {most}" if math.isfinite(most) else ""
    return Valid(lambda value: least <= value <= most, f", but has to be at least {least}{bound}")


POSITIVE = Valid(lambda value: value > 0, ", but has to be positive")
ALL_POSITIVE = Valid(lambda values: min(values) > 0, ", but has to be positive")
SHARE = Valid(lambda value: 0 <= value <= 1, ", outside [0, 1]")
BELOW_1 = Valid(lambda value: 0 <= value < 1, ", outside [0, 1)")
POSITIVE_RANGE = Valid(lambda ends: 0 < ends[0] <= ends[1], ": not a range of positive numbers")
RANGE_TO_1 = Valid(
    lambda ends: 0 < ends[0] <= ends[1] <= 1, ": not a range of positive numbers up to 1"
)


def check_ranges(config: Any) -> None:
    """Raise :class:`ConfigError` for the first flag whose value is not finite or out of range.

    Numbers are also limited to a range within which float32 can hold what is computed from them.
    """
    for field in dataclasses.fields(config):
        value, valid = getattr(config, field.name), field.metadata["valid"]
        floats = [v for v in (value if isinstance(value, tuple) else (value,)) if type(v) is float]
        if not all(map(math.isfinite, floats)):
            raise ConfigError(f"{shown(field.name, value)}, but has to be finite")
        if not all(number == 0 or SMALLEST <= abs(number) <= LARGEST for number in floats):
            raise ConfigError(
                f"{shown(field.name, value)}, but has to be 0 or from {SMALLEST:g} to {LARGEST:g}"
            )
        if valid:
            check_range(field.name, value, valid)


def check_range(name: str, value: Any, valid: Valid) -> None:
    """Raise :class:`ConfigError` if the value of a flag is out of its range."""
    if not valid.holds(value):
        raise ConfigError(shown(name, value) + valid.otherwise)


# ---- flags that need others


def without_effect(config: Any) -> Dict[str, str]:
    """The flags that have no effect in ``config``, and what each would need, in words."""
    needs = {field.name: field.metadata["needs"] for field in dataclasses.fields(config)}
    return {name: need.text for name, need in needs.items() if need and not need.holds(config)}


def check_effects(config: Any, given: Dict[str, Any]) -> None:
    """Raise :class:`ConfigError` for a ``given`` flag that would have no effect, which its user
    cannot have meant.
    """
    fields = {field.name: field for field in dataclasses.fields(config)}
    for name, need in without_effect(config).items():
        if name in given and not _is_off(fields[name], given[name]):
            raise ConfigError(
                f"{spelling(name)} has no effect without {need}: leave one out or add the other"
            )


def _is_off(field, value):
    """Whether a value turns its flag off."""
    return value in (0, "", ()) or (value == "none" and bool(field.metadata["choices"]))


# ---- text, JSON, differences


def spelling(name: str) -> str:
    """``mixup_alpha`` -> ``--mixup-alpha``."""
    return "--" + name.replace("_", "-")


def text_of(value: Any) -> str:
    """A flag's value as a user types it."""
    return ",".join(f"{v:g}" for v in value) if isinstance(value, tuple) else str(value)


def shown(name: str, value: Any) -> str:
    """``--flag is VALUE``, the beginning of an error."""
    return f"{spelling(name)} is {text_of(value)}"


def from_json(cls: Any, values: Dict[str, Any]) -> Any:
    """An instance of the dataclass ``cls`` from a dict read from JSON; missing flags have their
    defaults.

    Raises :class:`ConfigError` for names that ``cls`` does not have, and for values of the wrong
    kind or out of range.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = ", ".join(sorted(set(values) - set(fields)))
    if unknown:
        raise ConfigError(f"flags of another version of gluon_tricks: {printable(unknown)}")
    for name, value in values.items():
        choices = fields[name].metadata["choices"]
        if not (value in choices if choices else _kind(fields[name]).fits(value)):
            raise ConfigError(
                f"{spelling(name)} is {printable(repr(value))[:80]}, which it cannot be"
            )
    config = cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    check_ranges(config)
    return config


def differences(old: Any, new: Any, names: Optional[Sequence[str]] = None) -> List[str]:
    """Lines ``--flag: old -> new`` for the flags that change what a run computes (or those in
    ``names``).
    """
    if names is None:
        names = [field.name for field in dataclasses.fields(old) if not field.metadata["free"]]
    return [
        f"{spelling(name)}: {text_of(getattr(old, name))} -> {text_of(getattr(new, name))}"
        for name in names
        if getattr(old, name) != getattr(new, name)
    ]


# ---- argparse


def add_arguments(parser: Any, fields: Sequence[dataclasses.Field], defaults: Defaults) -> None:
    """Add flags to a parser, without defaults, so its result has only the flags that were given.

    ``defaults`` are those shown in the help.
    """
    groups: Dict[str, Any] = {}
    for field in fields:
        heading = field.metadata["group"]
        if heading not in groups:
            groups[heading] = parser.add_argument_group(heading)
        _add_argument(groups[heading], field, defaults)


def _add_argument(group, field, defaults):
    meta, kind = field.metadata, _kind(field)
    bare = True if field.type is bool else meta["bare"]
    group.add_argument(
        spelling(field.name),
        *meta["names"],
        dest=field.name,
        default=argparse.SUPPRESS,
        type=kind.parse,
        choices=meta["choices"],
        help=_help(field, defaults).replace("%", "%%"),
        metavar=None if meta["choices"] else kind.metavar,
        **({} if bare is None else dict(nargs="?", const=bare)),
    )


def _help(field, defaults):
    section = field.metadata["section"]
    return "".join(
        [
            field.metadata["help"],
            f" (section {section})" if section else "",
            _help_of_default(field, defaults),
        ]
    )


def _help_of_default(field, defaults):
    """`` [32; segmentation: 4; detection: 1]``, or "" for a flag that is off by default in every
    case.
    """
    of_cases = {case: own.get(field.name, field.default) for case, own in defaults.items()}
    if all(value in ("", 0) for value in of_cases.values()):
        return ""
    usual = next(iter(of_cases.values()))
    others = [f"{case}: {_brief(v)}" for case, v in of_cases.items() if v != usual]
    return f" [{'; '.join([_brief(usual), *others])}]"


def _brief(value):
    """A default as the help shows it: 1 for True, 10 for 10.0."""
    return f"{value:g}" if isinstance(value, (bool, float)) else text_of(value)
