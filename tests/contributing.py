"""The modules that CONTRIBUTING.md shows, run."""

import re
import textwrap
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "CONTRIBUTING.md"
MODULES = [
    textwrap.dedent(code)
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    if code.lstrip().startswith('"""')
]


def module_with(name, package):
    """The names in the page's module that defines ``name``, run as a module of ``package``."""
    (code,) = (code for code in MODULES if re.search(rf"^(def|class) {name}\b", code, re.M))
    held = {"__name__": f"{package}.{name.lower()}", "__package__": package}
    exec(code, held)
    return held
