"""Find parts by name: those that come with the package, and those that users plug in."""

import importlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

from liquid_nav.errors import ConfigError

Part = TypeVar("Part")

logger = logging.getLogger(__name__)


class Registry(Generic[Part]):
    """Parts of one kind by name: our own from a table, users' from entry points of their packages.

    A package plugs a part in by an entry point in its own metadata, for example::

        [project.entry-points."liquid_nav.backends"]
        blimp = "my_package.blimp:Blimp"

    Entry points are looked for when a name is asked for that is not in the table, and when all
    names are. A part is imported when it is asked for. An entry point never replaces one of our own
    parts: it is ignored, with a warning.

    Args:
        group: group of the entry points, such as ``liquid_nav.backends``.
        kind: what a part is called in errors, such as ``back-end``.
        parts: our own, by name: the part, or ``module:attribute``, where it is imported from.

    """

    def __init__(
        self, group: str, kind: str, parts: Mapping[str, Part | str] | None = None
    ) -> None:
        self.group, self.kind = group, kind
        self._parts: dict[str, Part | str] = dict(parts or {})

    def get(self, name: str) -> Part:
        """Return the part with this name.

        Raises:
            ConfigError: when there is none of this name, or it cannot be imported.

        """
        part = self._parts.get(name) or self._entry_points().get(name)
        if part is None:
            raise ConfigError(
                f"there is no {self.kind} {name!r}; choose one of {', '.join(self) or 'none'}"
            )
        return self._imported(name, part) if isinstance(part, str) else part

    def __iter__(self) -> Iterator[str]:
        """Names of all parts, our own first."""
        yield from dict.fromkeys((*self._parts, *self._entry_points()))

    def __len__(self) -> int:
        return len({*self._parts, *self._entry_points()})

    def __contains__(self, name: object) -> bool:
        return name in self._parts or name in self._entry_points()

    def _imported(self, name: str, place: str) -> Any:
        module, _, attribute = place.partition(":")
        try:
            part: Any = importlib.import_module(module)
            for step in attribute.split("."):
                part = getattr(part, step)
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"the {self.kind} {name!r} at {place} cannot be imported: {error}"
            ) from error
        return part

    def _entry_points(self) -> dict[str, str]:
        """Where the parts of installed packages are imported from, by name."""
        # Importing this takes longer than loading a policy, which needs parts of ours alone.
        from importlib.metadata import entry_points

        plugged = {}
        for point in entry_points(group=self.group):
            if point.name in self._parts:
                logger.warning(
                    "the %s %r of %s is left out: liquid_nav has one of that name",
                    self.kind,
                    point.name,
                    point.value,
                )
            else:
                plugged[point.name] = point.value
        return plugged
