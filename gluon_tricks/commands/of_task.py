"""Commands whose flags and output depend on the task of the model that they open.

A task's part of a command is a module with ``add_arguments(add)`` and ``main(args, model)``. Which
task it is turns out when the model is open, so the flags of all parts are known to the parser; one
of another task than the model's is an error.
"""

import argparse

from ..deploy import tasks
from ..errors import UserError


def add_arguments(parser, parts):
    """Add the flags of each task's part, ``{task: module}``, in a group of its own."""
    defaults, known = {}, {}  # a flag that several parts have is the first one's
    for task, part in parts.items():
        own = {}
        group = parser.add_argument_group(f"of models for {task}")

        def add(*names, group=group, own=own, **keywords):
            action = known.get(names[0]) or group.add_argument(*names, **keywords)
            known[names[0]], own[action.dest] = action, keywords.get("default")
            if keywords.get("action") == "store_true":
                own[action.dest] = False
            action.default = argparse.SUPPRESS  # so that what is given can be told

        part.add_arguments(add)
        defaults[task] = own
    parser.set_defaults(defaults_of_tasks=defaults)


def part_of(args, model, parts):
    """The part of the model's task, with the defaults of its flags in ``args``.

    UserError for a flag of another task, or if there is no part for this one.
    """
    if model.task not in parts:
        tasks.needs(model, " or ".join(parts))
    settle(args, model)
    return parts[model.task]


def settle(args, model):
    """Put the defaults of the model's task into ``args``; UserError for a flag of another task."""
    own = args.defaults_of_tasks.get(model.task, {})
    for name in sorted(set().union(*args.defaults_of_tasks.values()) - set(own)):
        if name in vars(args):
            having = [task for task, flags in args.defaults_of_tasks.items() if name in flags]
            flag = "--" + name.replace("_", "-")
            raise UserError(
                f"{flag} is for models for {' or '.join(having)}, and this one is for {model.task}"
            )
    for name, default in own.items():
        vars(args).setdefault(name, default)
