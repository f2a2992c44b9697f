"""A managed node whose transitions say why they fail, and which answers every request for one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

from liquid_nav.errors import LiquidNavError
from liquid_nav.ros.parameters import first_line

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class ManagedNode(LifecycleNode):  # type: ignore[misc, unused-ignore]
    """`rclpy.lifecycle.LifecycleNode` drops the errors of transitions; this one logs them.

    Args:
        name: of the node.
        options: of `LifecycleNode`.

    """

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self._failure = ""  # Why the last transition failed.
        self._in_transition = threading.Lock()
        # To a request for a transition that is impossible now, rclpy raises and does not answer.
        service = self._service_change_state
        self._change_state, service.callback = service.callback, self._on_change_state

    def _transition(self, name: str, change: Callable[[], None]) -> TransitionCallbackReturn:
        """Do what a transition does; if that raises, log the reason in one line, and fail."""
        self._failure = ""
        try:
            change()
        except Exception as error:
            known = isinstance(error, LiquidNavError)
            text = first_line(error)
            self._failure = text if known else f"{type(error).__name__}: {text}"
            self.get_logger().error(f"cannot {name}: {self._failure}")
            return FAILURE
        return SUCCESS

    def _finish(self, name: str, *steps: Callable[[], object]) -> None:
        """Do every step of an ending, whatever it raises, which is logged."""
        for step in steps:
            try:
                step()
            except Exception as error:  # noqa: PERF203
                self.get_logger().error(f"{name}: {type(error).__name__}: {first_line(error)}")

    def _on_change_state(self, request: Any, response: Any) -> Any:
        """Answer a request for a transition, whatever it asks for."""
        asked, response.success = request.transition, False
        if not self._in_transition.acquire(blocking=False):
            self.get_logger().warning("change_state refused: another transition is in progress")
            return response
        try:
            possible = {item[0]: item[1] for item in self._state_machine.available_transitions}
            known = asked.label in possible.values() if asked.label else asked.id in possible
            if not known:
                state = self._state_machine.current_state[1]
                choice = ", ".join(f"{label} ({number})" for number, label in possible.items())
                self.get_logger().warning(
                    f"change_state refused: the node is {state}, and has no transition "
                    f"{asked.label or asked.id} from there; possible: {choice or 'none'}"
                )
                return response
            return self._change_state(request, response)
        finally:
            self._in_transition.release()
