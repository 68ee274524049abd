"""`otel_logging/plain.py`: classes that hold fields, without dataclasses."""

from __future__ import annotations

import dataclasses

import pytest

from otel_logging.plain import Row, field, plain, replace


@plain(slots=True)
class Base:
    name: str
    many: list[int] = field(default_factory=list)


@plain
class More(Base):
    size: int = 3
    doubled: int = field(init=False)
    known: dict[str, int] = field(init=False, default_factory=dict)

    def __post_init__(self):
        self.doubled = self.size * 2


@plain(frozen=True)
class Frozen:
    first: int = 1
    rest: tuple[int, ...] = ()


class Pair(Row):
    left: int
    right: str

    @property
    def both(self):
        return f"{self.left}{self.right}"


def test_fields():
    """Fields are given by place or name, the rest by default; what has no default is asked for."""
    made = More("a", size=4)
    assert (made.name, made.many, made.size, made.doubled, made.known) == ("a", [], 4, 8, {})
    assert made.many is not More("b").many
    for wrong in (More, lambda: More("a", [], 1, 2), lambda: More("a", name="b"), lambda: More("a", other=1)):
        with pytest.raises(TypeError):
            wrong()


def test_equality_and_text():
    """Things are equal that are of one class and hold the same; frozen ones may be keys."""
    assert More("a") == More("a") != More("b")
    assert Base("a") != More("a")
    assert {Frozen(2): 1}[Frozen(2)] == 1
    with pytest.raises(TypeError):
        hash(More("a"))
    assert repr(Frozen(2)) == "Frozen(first=2, rest=())"


def test_replace():
    """A copy with something changed, of a dataclass, too."""
    assert replace(More("a", size=4), name="b") == More("b", size=4)
    assert replace(dataclasses.make_dataclass("D", ["x"])(1), x=2).x == 2


def test_rows():
    """A row is a named tuple with methods."""
    assert Pair(1, "x") == (1, "x")
    assert Pair(1, right="x").both == "1x"
    assert Pair(1, "x")._replace(left=2).left == 2
