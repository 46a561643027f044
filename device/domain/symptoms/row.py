"""A row of the table of symptoms, and a remedy that comes from one."""

from __future__ import annotations

from dataclasses import dataclass
from string import Formatter


class Remedy(str):
    """What to do, as it is printed; `symptom` is the name of its row. Made by `table.remedy` alone (a test looks)."""

    __slots__ = ("symptom",)
    symptom: str

    def __new__(cls, text: str, symptom: str) -> Remedy:
        made = super().__new__(cls, text)
        made.symptom = symptom
        return made


@dataclass(frozen=True, slots=True)
class Row:
    """What is seen, what is behind it most often, and what to do. The remedy may have places for values: `{file}`."""

    symptom: str
    cause: str
    remedy: str

    @property
    def places(self) -> frozenset[str]:
        """Names of the values that the remedy needs."""
        return frozenset(name for _, name, _, _ in Formatter().parse(self.remedy) if name)

    def filled(self, values: dict[str, object]) -> str:
        """The remedy with its values. Raises ValueError unless there is one for every place, and no other."""
        if self.places != set(values):
            raise ValueError(f"{self.symptom}: the remedy has places for {sorted(self.places)}, not {sorted(values)}")
        return self.remedy.format_map(values)

    @property
    def printed(self) -> str:
        """The remedy on a page, where a value is a word in capitals: FILE."""
        return self.remedy.format_map({name: name.upper() for name in self.places})
