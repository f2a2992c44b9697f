"""What a configured controller node holds, from its configuration to its cleanup."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node

from liquid_nav.controller import Controller
from liquid_nav.errors import BundleError, ConfigError
from liquid_nav.events import Channel
from liquid_nav.onboard import Policy, load_policy
from liquid_nav.ros.backends import Backend, selected_backend
from liquid_nav.ros.controller.diagnostics import OK, TOPIC, WARN, Status
from liquid_nav.ros.controller.diagnostics.expectations import Expectation, expectations
from liquid_nav.ros.controller.diagnostics.monitor import Monitor
from liquid_nav.ros.controller.diagnostics.status import TOPIC as STATUS_TOPIC
from liquid_nav.ros.controller.liquid_state import LiquidStatePublisher
from liquid_nav.ros.controller.parameters import SPECS, Parameters, channel_specs
from liquid_nav.ros.controller.recorders import Recorder, make_recorders
from liquid_nav.ros.controller.sensors import Sensors
from liquid_nav.ros.parameters import check_topics

_OWN_TOPICS = {
    "the diagnostics": TOPIC,
    "the heartbeat": "~/heartbeat",
    "the liquid state": "~/liquid_state",
    "the status": STATUS_TOPIC,
}
"""Topics of the node that no parameter names."""

MakeSensors = Callable[[Parameters, Policy, Monitor], Sensors]


@dataclass
class Flight:
    """What a configured node holds.

    Attributes:
        parameters: the parameters as they are now.
        policy, trained_rates: the policy, and the slowest and the fastest rate of each of its
            channels in training, Hz.
        controller, backend, sensors: where events go, where commands go, where events come from.
        liquid_state, monitor, recorders: what is published, counted and recorded beside that.

    """

    parameters: Parameters
    policy: Policy
    trained_rates: Mapping[Channel, tuple[float, float]]
    controller: Controller
    backend: Backend
    sensors: Sensors
    liquid_state: LiquidStatePublisher
    monitor: Monitor
    recorders: list[Recorder]

    def expected(self) -> dict[Channel, Expectation]:
        """What is expected of each channel, under the parameters as they are now."""
        return expectations(
            self.policy,
            self.parameters.safety,
            self.trained_rates,
            self.controller.health.channels,
            self.backend.needs_odometry,
        )

    def timing_warning(self) -> str:
        """Which of our landings the autopilot forestalls, see `Backend.timing_warning`."""
        return self.backend.timing_warning(
            {
                channel: expected.staleness
                for channel, expected in self.expected().items()
                if expected.needed and expected.staleness is not None
            }
        )

    def statuses(self, now: int, node: Mapping[str, str]) -> list[Status]:
        """Statuses of the diagnostics at `now` ns; `node` as in `Monitor.statuses`."""
        health, fault = self.controller.health, self.backend.held or self.backend.fault
        statuses = self.monitor.statuses(health, now, fault, node, self.expected())
        recorded = [recorder.status() for recorder in self.recorders]
        return [*statuses, self._autopilot(now), *recorded]

    def _autopilot(self, now: int) -> Status:
        """Status of what is known of the autopilot: its mode and its parameters."""
        backend, engaged = self.backend, self.backend.engaged
        warnings = backend.parameter_warnings(now)
        for text in warnings:
            self.monitor.add_news(f"autopilot: {text}")
        values = {
            "follows_setpoints": "unknown" if engaged is None else str(engaged).lower(),
            "held": str(bool(backend.held)).lower(),
            "parameters": backend.parameters_note,
            "timing": self.timing_warning(),
        }
        return Status(WARN if warnings else OK, "autopilot", "; ".join(warnings) or "OK", values)


def make_flight(
    node: Node, values: Mapping[str, Any], qos_faults: dict[str, str], make_sensors: MakeSensors
) -> Flight:
    """Make everything that the parameters ask for.

    Args:
        node: publishes.
        values: every parameter by name.
        qos_faults: by topic, for the diagnostics; it may change.
        make_sensors: makes the subscriptions.

    Raises:
        LiquidNavError: on parameters or a bundle that cannot fly, for one because the policy
            cannot give the back-end what it needs.

    """
    parameters = Parameters.of(values, (*SPECS, *channel_specs()))
    monitor, log = Monitor(qos_faults=qos_faults), node.get_logger()
    try:
        policy, manifest = load_policy(parameters.bundle, values["model_sha256"])
    except BundleError as error:
        raise ConfigError(f"model: {error}") from error
    controller = Controller(policy, parameters.safety)
    sensors = make_sensors(parameters, policy, monitor)
    backend = selected_backend(values)
    backend.check_rate("minimum_rate", values["minimum_rate"])
    if backend.needs_odometry and not values["topics.odometry"]:
        raise ConfigError(
            f"back-end {backend.name} needs odometry to turn velocities into the world frame, "
            "but topics.odometry is empty: set it to the topic of the odometry"
        )
    with ExitStack() as made:
        made.callback(backend.close)
        backend.configure(node)
        check_topics(node, {**_OWN_TOPICS, **sensors.topics, **backend.topics_by_parameter})
        liquid_state = LiquidStatePublisher(node, values["liquid_state_rate"])
        made.callback(liquid_state.close)
        recorders = make_recorders(node, values, policy.config.camera)
        made.pop_all()
    log.info(
        f"configured: task {manifest.task}, back-end {backend.name}; "
        f"the policy {policy.config.channels_in_words}"
    )
    if values["task"] not in ("", manifest.task):
        log.warning(
            f"the model {values['model']} was trained for the task {manifest.task}, and is to "
            f"fly {values['task']}: choose another one by the parameter model"
        )
    flight = Flight(
        parameters,
        policy,
        manifest.rates,
        controller,
        backend,
        sensors,
        liquid_state,
        monitor,
        recorders,
    )
    if warning := flight.timing_warning():
        log.warning(warning)
    if backend.parameters_note:
        log.warning(f"back-end {backend.name}: {backend.parameters_note}")
    return flight
