"""Classes that hold fields, without the module `dataclasses`: importing that costs half of a bare Python's start.

For what the command `call` needs, whose whole process is to be a small multiple of a bare one. To type checkers these
are dataclasses; at run time they have `__init__`, `__eq__`, `__repr__` and, if frozen, `__hash__`, all of them
closures: made in no time, slower to call. What exists by the thousand writes its `__init__` out.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass as plain
    from dataclasses import field, replace
    from typing import Any
    from typing import NamedTuple as Row

    __all__ = ["Row", "field", "plain", "replace"]
else:

    class _Rows(type):
        """Makes a named tuple of each class but the first."""

        def __new__(cls, name: str, bases: tuple[type, ...], space: dict[str, Any]) -> Any:
            if not bases:
                return super().__new__(cls, name, bases, space)
            made = namedtuple(name, space["__annotations__"], module=space["__module__"])  # noqa: PYI024 (this is it)
            for key, value in space.items():
                if key not in {"__annotations__", "__qualname__", "__module__"}:
                    setattr(made, key, value)
            return made

    class Row(metaclass=_Rows):
        """As `typing.NamedTuple`, without defaults."""

    def field(*, init: bool = True, default_factory: Callable[[], Any] | None = None) -> Any:
        """As `dataclasses.field`, with these two arguments."""
        return _Field(init, default_factory)

    def plain(cls: Any = None, *, frozen: bool = False, slots: bool = False) -> Any:  # noqa: ARG001 (to type checkers only)
        """As `dataclasses.dataclass`; that nobody changes what is frozen is the type checker's to see."""
        return _made(cls, frozen=frozen) if cls is not None else lambda cls: _made(cls, frozen=frozen)

    def replace(item: Any, **changes: Any) -> Any:
        """As `dataclasses.replace`; a dataclass may come, too."""
        if not hasattr(item, "__plain__"):
            import dataclasses

            return dataclasses.replace(item, **changes)
        kept = {name: getattr(item, name) for name, source in item.__plain__.items() if _given(source)}
        return type(item)(**{**kept, **changes})


class _Field:
    """Where the value of a field comes from if none is given; one of `init=False` is set by `__post_init__`."""

    def __init__(self, init: bool = True, default_factory: Callable[[], Any] | None = None) -> None:
        self.init = init
        self.default_factory = default_factory

    def made(self) -> Any:
        """A value."""
        return self.default_factory() if self.default_factory else None


_NEEDED = object()


def _given(source: object) -> bool:
    return not isinstance(source, _Field) or source.init


def _made(cls: Any, *, frozen: bool) -> Any:
    fields: dict[str, Any] = dict(getattr(cls, "__plain__", {}))
    for name in cls.__dict__.get("__annotations__", ()):  # noqa: RUF063 (texts, as annotations are not evaluated)
        fields[name] = source = cls.__dict__.get(name, _NEEDED)
        if isinstance(source, _Field):
            delattr(cls, name)  # it is no value
    cls.__plain__ = fields
    cls.__init__ = _init(cls.__qualname__, fields, getattr(cls, "__post_init__", None))

    def values(self: Any) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in fields])

    cls.__eq__ = lambda self, other: values(self) == values(other) if type(other) is type(self) else NotImplemented
    cls.__hash__ = (lambda self: hash(values(self))) if frozen else None
    cls.__repr__ = lambda self: f"{cls.__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in fields)})"
    return cls


def _init(kind: str, fields: dict[str, Any], after: Callable[[Any], None] | None) -> Callable[..., None]:
    sources = [(name, source) for name, source in fields.items() if _given(source)]
    made = [
        (name, source.default_factory)
        for name, source in fields.items()
        if isinstance(source, _Field) and not source.init and source.default_factory
    ]

    def init(self: Any, /, *args: Any, **given: Any) -> None:
        values = self.__dict__
        for (name, _), value in zip(sources, args, strict=False):
            if name in given:
                raise TypeError(f"{kind}: {name} is given twice")
            given[name] = value
        for name, source in sources:
            if name in given:
                values[name] = given.pop(name)
            elif source is _NEEDED:
                raise TypeError(f"{kind}: {name} is missing")
            else:
                values[name] = (
                    source.default_factory() if isinstance(source, _Field) and source.default_factory else source
                )
        for name, factory in made:
            values[name] = factory()
        if given or len(args) > len(sources):
            raise TypeError(f"{kind} has no {', '.join(given) or 'room for so much'}")
        if after is not None:
            after(self)

    return init
