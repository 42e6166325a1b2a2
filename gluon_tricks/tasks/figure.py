"""A figure that a task reports, as the log, the tables and the plots show it."""

from typing import NamedTuple


class Figure(NamedTuple):
    """How to read one value of a task's summary."""

    name: str  # its key in log.jsonl and result.json
    title: str
    unit: str = ""  # "%", or nothing
    digits: int = 2  # after the point
    higher_is_better: bool = True

    def text(self, value: float) -> str:
        """``top-1 77.16 %``."""
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.title} {value:.{self.digits}f}{unit}"
