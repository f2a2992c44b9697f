"""Warnings about sensors: sentences that name a likely cause and what mends it.

A warning changes no command. Health reports it, so that somebody can act before take-off.
"""

from liquid_nav.events import Channel


class SensorWarnings:
    """The warnings in force, at most one for each channel and cause.

    Attributes:
        changed: channels whose warnings changed since someone last cleared this set.

    """

    def __init__(self) -> None:
        self._texts: dict[Channel, dict[str, str]] = {}
        self.changed: set[Channel] = set()

    def set(self, channel: Channel, cause: str, text: str) -> None:
        """Warn about a channel for one cause, or take the warning back by an empty text."""
        texts = self._texts.setdefault(channel, {})
        if texts.get(cause, "") != text:
            texts[cause] = text
            self.changed.add(channel)

    def reset(self) -> None:
        """Take all warnings back."""
        self.changed.update(self._texts)
        self._texts = {}

    def of(self, channel: Channel) -> tuple[str, ...]:
        """Return the warnings about a channel, in the order in which their causes first arose."""
        return tuple(text for text in self._texts.get(channel, {}).values() if text)
