"""Patching libraries once they are imported, never importing them, and undoing it.

Only the mechanics: which library is patched where, and what the patch does, is the business of the module that says so.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

from otel_logging import trouble

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


class Patches:
    """A set of patches that belong together: `servers`, `rq`, `celery`.

    Patches are registered with `on_import` and put in place by `install()`, at once for modules that are there and
    after their import for the others. All of it may be called again and again; `uninstall()` puts back what nobody
    else has wrapped meanwhile, and makes the rest ask `active`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.active = False
        self._patches: dict[str, Callable[[ModuleType], None]] = {}
        self._hooked: set[str] = set()  # a post-import hook cannot be taken back, so each is made once
        self._patched: set[str] = set()
        self._undo: list[Callable[[], None]] = []

    def on_import(self, module: str) -> Callable[[Callable[[ModuleType], None]], Callable[[ModuleType], None]]:
        """Decorator: this function patches `module`, which it is given."""

        def register(patch: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
            self._patches[module] = patch
            return patch

        return register

    def install(self) -> None:
        """Put the patches in place. Never raises: a library that looks different is reported and left alone."""
        self.active = True
        for module in self._patches:
            if module not in self._hooked:
                self._hooked.add(module)
                import wrapt

                wrapt.register_post_import_hook(functools.partial(self._apply, module), module)
            elif module in sys.modules:
                self._apply(module, sys.modules[module])

    def _apply(self, name: str, module: ModuleType) -> None:
        if not self.active or name in self._patched:
            return
        self._patched.add(name)
        try:
            self._patches[name](module)
        except Exception as error:
            trouble.report("patch_failed", f"{name} could not be prepared for call ids ({error!r}); it runs unchanged")

    def replace(self, owner: Any, attribute: str, make: Callable[[Any], Any]) -> None:
        """Replace `owner.attribute` by `make(what is there)`.

        Class and static methods are handed over as they stand in the class, so that `make` returns one too.
        """
        original = vars(owner)[attribute]
        replacement = make(original)
        setattr(owner, attribute, replacement)

        def undo() -> None:
            if vars(owner).get(attribute) is replacement:
                setattr(owner, attribute, original)

        self._undo.append(undo)

    def on_uninstall(self, undo: Callable[[], None]) -> None:
        """Have `undo` called when the patches are taken back."""
        self._undo.append(undo)

    def uninstall(self) -> None:
        """Take the patches back."""
        self.active = False
        self._patched.clear()
        undo, self._undo = self._undo, []
        for step in reversed(undo):
            step()
