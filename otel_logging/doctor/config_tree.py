"""Collector configurations as YAML that remembers lines: read one by one, and put together as several `--config` are.

Values of `${env:NAME}` are not looked up: what is judged is what stands in the file. Nothing of the Collector's meaning
is known here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MERGE: Final = "tag:yaml.org,2002:merge"
_LARGEST: Final = 4 * 1024 * 1024

Keys = tuple[Any, ...]
"""From the top to one value: keys of maps, numbers of list items."""


@dataclass
class Tree:
    """A configuration: its values as plain Python, and for each the file and line it stands in."""

    value: Any = None
    lines: dict[Keys, tuple[str, int]] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)
    """What made a file unreadable or ambiguous: where, and a sentence."""

    def get(self, *keys: Any) -> Any:
        """The value at `keys`, None if there is none."""
        value = self.value
        for key in keys:
            known = isinstance(value, dict) and key in value
            if not known and not (isinstance(value, list) and isinstance(key, int) and 0 <= key < len(value)):
                return None
            value = value[key]
        return value

    def items(self, *keys: Any) -> Iterator[tuple[str, Any]]:
        """What the map at `keys` holds, names as texts; nothing if it is no map."""
        value = self.get(*keys)
        if isinstance(value, dict):
            yield from ((str(name), one) for name, one in value.items())

    def where(self, keys: Keys) -> str:
        """`file:line: a.b.c` for the value at `keys`, or for the nearest thing above it."""
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.lines:
                name, line = self.lines[keys[:length]]
                return f"{name}:{line}: {dotted(keys)}"
        return dotted(keys)

    def walk(self, keys: Keys = ()) -> Iterator[tuple[Keys, Any]]:
        """Every value below `keys`, and what leads to it."""
        value = self.get(*keys)
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, one in inner:
            yield (*keys, key), one
            yield from self.walk((*keys, key))


def dotted(keys: Keys) -> str:
    """`service.pipelines.logs.processors[0]`."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


def read(path: Path) -> Tree:
    """The configuration in a file. Never raises for what is in it: see `Tree.problems`."""
    name = str(path)
    tree = Tree()
    try:
        with path.open(encoding="utf-8") as stream:
            node = yaml.compose(stream.read(_LARGEST), Loader=yaml.SafeLoader)
    except OSError as error:
        tree.problems.append((name, f"cannot be read: {error.strerror or error}"))
        return tree
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        tree.problems.append((f"{name}:{line}", f"is no YAML: {error.problem or 'cannot be read'}"))
        return tree
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        tree.problems.append((name, f"is no YAML: {' '.join(str(error).split())[:200]}"))
        return tree
    if node is None:
        return tree
    try:
        tree.value = _built(tree, name, node, (), ())
    except Exception as error:  # whatever its tags make of a value
        tree.problems.append((name, f"cannot be understood: {' '.join(str(error).split())[:200]}"))
        return tree
    if not isinstance(tree.value, dict):
        tree.problems.append((f"{name}:1", "is no map of receivers, exporters, service and the like"))
        tree.value = None
    return tree


def _built(tree: Tree, name: str, node: yaml.Node, keys: Keys, above: tuple[int, ...]) -> Any:
    tree.lines.setdefault(keys, (name, node.start_mark.line + 1))
    if id(node) in above:
        raise ValueError("an anchor contains itself")
    inner = (*above, id(node))
    if isinstance(node, yaml.MappingNode):
        made: dict[Any, Any] = {}
        borrowed: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            # A merge key has a tag that nothing is made of.
            key = "<<" if key_node.tag == _MERGE else _scalar(key_node)
            below, line = (*keys, key), key_node.start_mark.line + 1
            if key == "<<":
                meant = _built(tree, name, value_node, below, inner)
                for more in meant if isinstance(meant, list) else [meant]:
                    borrowed = {**dict(more or {}), **borrowed}
                continue
            if key in made:
                tree.problems.append((f"{name}:{line}", f"{dotted(below)} stands there twice"))
            tree.lines[below] = (name, line)
            made[key] = _built(tree, name, value_node, below, inner)
        return {**borrowed, **made}  # what is written out wins
    if isinstance(node, yaml.SequenceNode):
        return [_built(tree, name, one, (*keys, number), inner) for number, one in enumerate(node.value)]
    return _scalar(node)


def _scalar(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        value = loader.construct_object(node, deep=True)
    finally:
        loader.dispose()
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def merged(trees: list[Tree]) -> Tree:
    """All of them as the Collector puts them together: maps are merged, lists and single values replaced."""
    result = Tree({})
    for tree in trees:
        result.problems += tree.problems
        if isinstance(tree.value, dict):
            result.value = _merged(result, result.value, tree, tree.value, ())
    return result


def _merged(result: Tree, old: Any, tree: Tree, new: Any, keys: Keys) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        both = dict(old)
        for key, value in new.items():
            both[key] = _merged(result, both.get(key), tree, value, (*keys, key))
        _note(result, tree, keys, overwrite=False)
        return both
    if isinstance(old, dict) and new is None:  # `exporters:` with nothing below it
        return old
    for known in [known for known in result.lines if known[: len(keys)] == keys]:
        del result.lines[known]
    for below in (keys, *(one for one, _ in tree.walk(keys))):
        _note(result, tree, below, overwrite=True)
    return new


def _note(result: Tree, tree: Tree, keys: Keys, *, overwrite: bool) -> None:
    if keys in tree.lines and (overwrite or keys not in result.lines):
        result.lines[keys] = tree.lines[keys]
