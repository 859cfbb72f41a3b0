"""Which rows must stay together: patients joined with the near-duplicates of their pictures."""

from __future__ import annotations


class Groups:
    """Disjoint sets of names. `join` unites two, `of` names the set by its smallest member."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def of(self, name: str) -> str:
        """The set's name; a name never joined is its own set."""
        while (parent := self._parent.get(name, name)) != name:
            self._parent[name] = self._parent.get(parent, parent)
            name = parent
        return name

    def join(self, first: str, second: str) -> None:
        """Put both names in one set."""
        low, high = sorted((self.of(first), self.of(second)))
        if low != high:
            self._parent[high] = low
