"""Imports run downwards, packages hold no logic, and two facts are known only where they belong:
the contents of ``config.json``, and that networks are compared by top-1.
"""

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "gluon_tricks"

# A module imports from its own part of the package and from the parts below. Parts on one line know
# nothing of each other.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("commands",),
    ("bench",),
    ("reporting",),
    ("deploy",),
    ("training",),
    ("tasks",),
    ("distributed",),
    ("data", "models", "tricks"),
    ("config", "fidelity", "flags", "literature", "paper", "transfer"),
)
BASICS = {
    *("child_processes", "command_process", "determinism", "diagnosis", "errors", "files"),
    *("locking", "many_sizes", "onednn_cache", "pictures", "stderr_filter", "system", "text"),
    "threads",
}
# The flags are one part in three files, and so are the published figures.
IN_ORDER = {("config", "flags"), ("config", "fidelity")}
IN_ORDER |= {("literature", "paper"), ("transfer", "literature"), ("transfer", "paper")}

# The only modules that a part may import from one below, if not all.
ONLY = {
    ("deploy", "training"): {"run_folder"},
    ("reporting", "training"): {"config_file", "checkpoint_state"},
}

# The only readers: that of a run's folder, and the report's, which also shows runs of other
# versions, with flags that this one does not have.
READERS = {"training.run_folder", "reporting.reading"}

TOP_1 = {
    "tasks.classification": "it is this task's figure",
    "paper": "the published scores",
    "literature": "the published scores",
    "transfer": "the published scores",
    "tricks.table": "the gains that the paper published",
    "reporting.recipes": "a table of the published scores",
    "reporting.trick_table": "a table of the published gains",
    "deploy.classification": "what exports of classifiers say of INT8",
}


def modules():
    """Path by dotted name below the package, ``""`` for the package itself."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}


def package_of(name):
    return name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]


def when_loaded(node):
    """The nodes below this one that run when the module is imported."""
    for child in ast.iter_child_nodes(node):
        only_for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
        if not only_for_types and not isinstance(child, (ast.FunctionDef, ast.Lambda)):
            yield child
            yield from when_loaded(child)


def imported(name, nodes=None):
    """(module, name in it, or None if the module itself is imported) of what a module imports."""
    for node in ast.walk(TREES[name]) if nodes is None else nodes:
        if isinstance(node, ast.Import):
            assert not any(alias.name.startswith("gluon_tricks") for alias in node.names), name
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        above = [part for part in package_of(name).split(".") if part]
        parts = above[: len(above) - node.level + 1] + (node.module or "").split(".")
        base = ".".join(part for part in parts if part)
        for alias in node.names:
            inside = f"{base}.{alias.name}".strip(".")
            yield (inside, None) if inside in MODULES else (base, alias.name)


def part(name):
    return name.partition(".")[0]


def layer(of):
    below = len(LAYERS)
    return next((i for i, parts in enumerate(LAYERS) if of in parts), below)


def test_every_part_has_its_layer():
    known = {"", *BASICS, *(part for parts in LAYERS for part in parts)}
    assert {part(name) for name in MODULES} == known


def may_import(module, other):
    own, of = part(module), part(other)
    if own == of or (own, of) in IN_ORDER or {own, of} <= BASICS:
        return True
    inside = other.partition(".")[2]
    return layer(own) < layer(of) and inside in ONLY.get((own, of), {inside})


def test_imports_run_downwards():
    wrong = [
        f"{name} imports {module}"
        for name in MODULES
        if name  # the package itself only passes calls on, see below
        for module, what in imported(name)
        if not may_import(name, module) and (module, what) != ("", "__version__")
    ]
    assert not wrong


def test_no_circle_of_imports():
    left = {
        name: {module for module, _ in imported(name, list(when_loaded(tree)))} - {""}
        for name, tree in TREES.items()
    }
    while left:
        free = {name for name, needs in left.items() if not needs & left.keys()}
        assert free, f"a circle among {sorted(left)}"
        left = {name: needs for name, needs in left.items() if name not in free}


def test_no_module_imports_from_its_own_package():
    for name in MODULES:
        if package_of(name) not in ("", name):
            assert package_of(name) not in [module for module, _ in imported(name)], name


def is_delegation(node):
    """Whether a function only imports what it calls: MXNet reads OMP_NUM_THREADS when it is first
    imported, so ``import gluon_tricks`` must not do that yet.
    """
    return isinstance(node, ast.FunctionDef) and [type(line) for line in node.body[1:]] == [
        ast.ImportFrom,
        ast.Return,
    ]


def is_text(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def test_packages_hold_no_logic():
    for name in MODULES:
        if MODULES[name].name != "__init__.py":
            continue
        for node in TREES[name].body:
            names = [getattr(target, "id", None) for target in getattr(node, "targets", ())]
            assert (
                is_text(node)
                or isinstance(node, ast.ImportFrom)
                or names in (["__all__"], ["__version__"])
                or (name == "" and is_delegation(node))
            ), f"{name}, line {node.lineno}"


def texts(tree):
    """Yield the strings of a module except for docstrings, each with the node that contains it."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Expr):
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.Constant) and isinstance(child.value, str):
                    yield child.value, node


def test_config_json_has_one_reader():
    users = {name for name in MODULES if ("training.config_file", None) in imported(name)}
    assert users | READERS == READERS
    for name, tree in TREES.items():
        for text, holder in texts(tree):
            if text == "config.json" and name != "training.config_file":
                # a list of a run's files, which are looked for, counted or removed
                assert isinstance(holder, (ast.Tuple, ast.List)), f"{name}, line {holder.lineno}"


def names_in(tree):
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name"):
            yield str(getattr(node, field, ""))


def test_only_classification_knows_top_1():
    found = {
        name
        for name, tree in TREES.items()
        if any(re.search("top[-_]?1", text) for text, _ in texts(tree))
        or any(re.fullmatch("top_?1.*", text) for text in names_in(tree))
    }
    assert found == set(TOP_1)
