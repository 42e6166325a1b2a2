"""How far a split is written, noted in ``NAME.rec.state`` so that a killed run can continue."""

import collections
from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple

# The fields of a note in JSON, and their types.
FIELDS = {
    "made_of": dict,
    "sources": str,
    "done": int,
    "sizes": list,
    "broken": list,
    "forms": dict,
}


@dataclass
class State:
    """What is safely on the disk, and what it was made from."""

    made_of: Dict[str, Any]  # the settings, and the digest of the list of images
    sources: Any  # hashlib's SHA-256 of the list, and of the images so far in their order
    done: int = 0  # images
    sizes: Tuple[int, int] = (0, 0)  # bytes of the file and of its index
    broken: List[list] = field(default_factory=list)  # [position, name, what is wrong with it]
    # what was done to an image -> to how many
    forms: Dict[str, int] = field(default_factory=collections.Counter)

    def to_json(self) -> Dict[str, Any]:
        """The note: :data:`FIELDS`."""
        return dict(vars(self), sources=self.sources.hexdigest())

    def take_up(self, note: Dict[str, Any], sources: Any) -> None:
        """Continue from a note whose images have the digest ``sources``."""
        self.sources, self.done, self.sizes = sources, note["done"], tuple(note["sizes"])
        self.broken, self.forms = note["broken"], collections.Counter(note["forms"])

    def differing(self, note: Dict[str, Any]) -> List[str]:
        """What differs from what the noted part was made of: names of settings, or images."""
        names = set(self.made_of) | set(note["made_of"])
        return sorted(name for name in names if self.made_of.get(name) != note["made_of"].get(name))


def is_note(found: Dict[str, Any], images: int) -> bool:
    """Whether this is the note of a split of this many images, from which it can continue."""
    return (
        all(isinstance(found.get(name), kind) for name, kind in FIELDS.items())
        and 0 <= found["done"] <= images
        and len(found["sizes"]) == 2
        and all(isinstance(size, int) and size >= 0 for size in found["sizes"])
        and all(isinstance(entry, list) and len(entry) == 3 for entry in found["broken"])
    )
