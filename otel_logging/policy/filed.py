"""Things that each need certain patterns, filed so that a text's patterns lead to those that can be concerned.

Of thousands of policies few have anything to do with one line. Walking all of them for each new line would make a line
dearer with each policy; what is filed here is looked up by what was found. What the things are is not known in here.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence


class Filed:
    """Places of things in their order, each filed under one pattern that it needs: the one that fewest need.

    Args:
        needs: for each thing, the numbers of the patterns without which it is not concerned. One that needs nothing
            always is.
    """

    __slots__ = ("_always", "_under")

    def __init__(self, needs: Iterable[Collection[int]]) -> None:
        all_needs = list(needs)
        shared = Counter(number for some in all_needs for number in some)
        self._always: list[int] = []
        self._under: dict[int, list[int]] = {}
        for place, some in enumerate(all_needs):
            if some:
                # A condition that all have in common, such as a tag, would lead to all of them again.
                self._under.setdefault(min(some, key=lambda number: (shared[number], number)), []).append(place)
            else:
                self._always.append(place)

    def concerned(self, found: Iterable[int]) -> Sequence[int]:
        """The places, in order, of all things whose needs may have been found; each must still be asked.

        Args:
            found: the numbers of the patterns that were found, each once.
        """
        places = [place for number in found for place in self._under.get(number, ())]
        return sorted(self._always + places) if places else self._always
