"""Commands whose flags and output depend on the task of the model that they open.

A task's part of a command is a module with ``add_arguments(add)`` and ``main(args, model)``. The
task is known only once the model is open, so the parser accepts the flags of all parts; a flag of
another task than the model's is an error.
"""

import argparse

from ..deploy import tasks
from ..errors import UserError


def add_arguments(parser, parts):
    """Add the flags of each task's part, ``{task: module}``, in groups by the tasks that have them.

    A flag of several parts has the description of the first.
    """
    flags = {}  # by the first spelling: {task: (spellings, argparse's keywords)}
    for task, part in parts.items():

        def add(*names, task=task, **keywords):
            flags.setdefault(names[0], {})[task] = names, keywords

        part.add_arguments(add)
    groups, defaults = {}, {task: {} for task in parts}
    for of_tasks in flags.values():
        title = "of models for " + " or ".join(of_tasks)
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        names, keywords = next(iter(of_tasks.values()))
        action = groups[title].add_argument(*names, **keywords)
        action.default = argparse.SUPPRESS  # so that given flags can be told apart
        for task, (_, own) in of_tasks.items():
            off = False if own.get("action") == "store_true" else None
            defaults[task][action.dest] = own.get("default", off)
    parser.set_defaults(defaults_of_tasks=defaults)


def part_of(args, model, parts):
    """The part of the model's task, with the defaults of its flags in ``args``.

    UserError for a flag of another task, or if this task has no part.
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
                f"{flag} is for models for {' or '.join(having)}, but this model is for "
                f"{model.task}"
            )
    for name, default in own.items():
        vars(args).setdefault(name, default)
