"""One flight from take-off to landing: the policy flies between two hand-overs.

The autopilot takes off and lands by itself; the policy has the vehicle only in between. Whenever
somebody else takes the vehicle, the autopilot's own failsafe or a pilot with a transmitter, the
mission gives no more orders: two that command one vehicle are worse than either.
"""

import functools
import logging
import math
import threading
import time
from collections.abc import Callable

from liquid_nav.command import Command, Mode
from liquid_nav.events import Event, Odometry
from liquid_nav.mavlink.autopilots import HOLD, LAND, PX4, RETURN, TAKEOFF
from liquid_nav.mavlink.vehicle import MavlinkVehicle
from liquid_nav.mission.checks import Check, autopilot_checks, controller_check, sensor_checks
from liquid_nav.mission.plan import MissionConfig, Outcome, Pilot, Result, State

logger = logging.getLogger(__name__)

STREAMED_FIRST = 1.5
"""Seconds of setpoints before PX4 is told to follow them: it wants to see them for one."""

ASKS_AGAIN = 2.0
"""Seconds that the autopilot has to be in the mode that it was told to follow setpoints in."""

SLOW_START = 5.0
"""Seconds that a sensor has to begin, beyond those for which all are watched."""

SILENT = 5.0
"""Seconds for which the autopilot may be silent while it takes off or lands by itself."""

DISARMS_WITHIN = 5.0
"""Seconds that an autopilot has to disarm itself on the ground, before it is told to."""


class _Ended(Exception):  # noqa: N818
    """Leaves the steps of a mission; for this module alone."""

    def __init__(self, outcome: Outcome, why: str) -> None:
        super().__init__(why)
        self.outcome, self.why = outcome, why


class Mission:
    """Flies one mission.

    Args:
        vehicle: connected, with a camera if the policy needs one.
        pilot: flies in between.
        config: what to do.
        say: told each step in plain words, with the state.
        watch: called with every event, and every command while the policy flies; for recordings.

    Attributes:
        state: where it is.

    """

    def __init__(
        self,
        vehicle: MavlinkVehicle,
        pilot: Pilot,
        config: MissionConfig,
        say: Callable[[State, str], object],
        watch: Callable[[Event | Command], object] = lambda _: None,
    ) -> None:
        self._vehicle, self._link, self._pilot = vehicle, vehicle.link, pilot
        self._config, self._say, self._watch = config, say, watch
        self.state = State.CONNECTING
        self._stop = threading.Event()
        self._begin: tuple[float, float, float] | None = None  # Where it stood, ENU.
        self._place: tuple[float, float, float] | None = None
        self._mode: tuple[Mode, str] = (Mode.NOMINAL, "")  # That was told last.

    def stop(self) -> None:
        """End it on the operator's word: the vehicle lands or returns. From any thread."""
        self._stop.set()

    def run(self) -> Result:
        """Fly the mission, and return how it went; nothing is raised in flight."""
        result = Result(Outcome.REFUSED)
        try:
            self._connect()
            result.checks = self._check()
            self._arm()
        except _Ended as end:
            result.outcome, result.why = end.outcome, end.why
            self._tell(State.OVER, f"{end.outcome.value}: {end.why}")
            return result
        try:
            self._take_off()
            self._hand_over()
            self._fly()
        except _Ended as end:
            result.outcome, result.why = end.outcome, end.why
        except Exception as error:  # A fault of ours must not leave the vehicle in the air.
            logger.exception("the mission failed")
            result.outcome, result.why = Outcome.FAILED, f"{type(error).__name__}: {error}"
        if result.outcome is not Outcome.LOST:
            self._tell(State.TAKING_BACK, f"{result.outcome.value}: {result.why}")
            try:
                self._take_back()
                self._land()
                result.landed = True
            except _Ended as end:
                result.outcome, result.why = end.outcome, f"{result.why}; {end.why}"
        self._tell(State.OVER, f"{result.outcome.value}: {result.why}")
        return result

    # The steps; each raises `_Ended` when it is the last.

    def _connect(self) -> None:
        self._tell(State.CONNECTING, f"to {self._link.address}")
        self._wait(
            lambda: self._link.state.heartbeat and self._link.state.estimator is not None,
            Outcome.REFUSED,
            lambda: (
                self._link.unknown
                if self._link.state.autopilot is None
                else self._link.state.estimator_lacks()
            ),
        )

    def _check(self) -> list[Check]:
        """Watch everything for a while, and refuse to take off if a check fails."""
        config, link, autopilot = self._config, self._link, self._link.state.autopilot
        assert autopilot is not None
        self._tell(State.CHECKING, f"{autopilot.name}, system {link.target[0]}, {link.state.mode}")
        events: list[Event] = []
        silent, begin = set(config.needed), time.monotonic()
        while True:
            self._obey_operator()
            events += self._take_events()
            silent -= {event.channel for event in events}
            command, seconds = self._pilot.command(time.monotonic_ns()), time.monotonic() - begin
            waits = silent or command.mode is not Mode.NOMINAL
            if seconds > config.settling + (SLOW_START if waits else 0.0):
                break
        checks = [
            *autopilot_checks(link.state, config.battery),
            *sensor_checks(events, seconds, config.needed, config.camera),
            controller_check(command, self._pilot.health),
        ]
        words = {True: "passed", False: "FAILED", None: "unknown"}
        for check in checks:
            self._tell(State.CHECKING, f"{words[check.passed]}: {check.name}: {check.found}")
        failed = [f"{check.name}: {check.found}" for check in checks if check.passed is False]
        if failed:
            raise _Ended(Outcome.REFUSED, "; ".join(failed))
        self._begin = self._place
        return checks

    def _arm(self) -> None:
        """Arm in a mode from which the autopilot takes off."""
        link, autopilot = self._link, self._link.state.autopilot
        assert autopilot is not None
        mode = HOLD if autopilot is PX4 else autopilot.commanded
        self._tell(State.ARMING, f"in {mode}")
        why = self._order(lambda: link.orders.set_mode(mode))
        if not why:
            self._wait(
                lambda: link.state.mode == mode,
                Outcome.REFUSED,
                lambda: f"it accepted {mode} and is in {link.state.mode}",
            )
            why = self._order(link.orders.arm)
        if why:
            raise _Ended(Outcome.REFUSED, why)
        # Armed or not: from here on it is brought down by its autopilot, which disarms it.

    def _take_off(self) -> None:
        """Let the autopilot climb; no setpoint is sent meanwhile."""
        link, height = self._link, self._config.height
        begin = link.state.height
        self._tell(State.TAKING_OFF, f"to {height:g} m")
        self._wait(lambda: link.state.armed, Outcome.FAILED, lambda: "it says that it is disarmed")
        if begin is None:
            raise _Ended(Outcome.FAILED, "the autopilot does not say how high it is")
        why = self._order(lambda: link.orders.take_off(height))
        if why:
            raise _Ended(Outcome.FAILED, why)
        autopilot = link.state.autopilot
        assert autopilot is not None
        modes = (HOLD, TAKEOFF) if autopilot is PX4 else (autopilot.commanded,)
        enough = begin + height - max(0.2, height / 10)

        def climbed() -> bool:
            self._keep(modes)
            return (link.state.height or begin) >= enough

        self._wait(
            climbed,
            Outcome.FAILED,
            lambda: f"it is {(link.state.height or begin) - begin:.1f} m high",
        )

    def _hand_over(self) -> None:
        """Begin setpoints at rest, and have the autopilot follow them."""
        link, autopilot = self._link, self._link.state.autopilot
        assert autopilot is not None
        self._tell(State.HANDING_OVER, f"to the policy, in {autopilot.commanded}")
        self._pilot.reset()
        link.authority.release()
        # PX4 enters OFFBOARD only while setpoints come; the policy's first events come meanwhile.
        first, begin = link.setpoints, time.monotonic()
        streamed = STREAMED_FIRST if autopilot is PX4 else 0.0
        self._wait(
            lambda: (
                self._step().mode is Mode.NOMINAL
                and link.setpoints > first + 10
                and time.monotonic() - begin >= streamed
            ),
            Outcome.FAILED,
            lambda: self._mode[1] or link.fault,
        )
        # PX4 refuses while it finds the setpoints too few; its answer may also be a late one to an
        # order before. What counts is the mode that its heartbeat tells.
        end, why = time.monotonic() + self._config.patience, ""
        while not link.authority.held:
            self._obey_operator()
            if time.monotonic() > end:
                raise _Ended(Outcome.FAILED, why or link.fault)
            why = self._order(lambda: link.orders.set_mode(autopilot.commanded), self._step)
            again = time.monotonic() + ASKS_AGAIN
            while not link.authority.held and time.monotonic() < again:
                self._step()

    def _fly(self) -> None:
        config, end = self._config, time.monotonic() + self._config.duration
        self._tell(State.FLYING, f"for {config.duration:g} s at most")
        while True:
            command = self._step()
            self._obey_operator()
            left = self._link.state.battery
            if left is not None and left < config.battery:
                raise _Ended(Outcome.BATTERY, f"{left:.0%} is left")
            if command.mode is Mode.LAND:
                raise _Ended(Outcome.FAILSAFE, command.reason)
            if self._reached():
                raise _Ended(Outcome.SUCCESS, f"within {config.radius:g} m of the goal")
            if time.monotonic() > end:
                raise _Ended(Outcome.TIMEOUT, f"{config.duration:g} s")

    def _take_back(self) -> None:
        """Have the autopilot come down; it gets setpoints of rest until it does."""
        link, ending = self._link, self._config.ending
        modes = [RETURN, LAND] if ending == RETURN else [LAND]
        for mode in modes:
            self._tell(State.TAKING_BACK, mode)
            why = self._order(functools.partial(link.orders.set_mode, mode), self._rest)
            if not why:
                self._wait_for_mode(mode)
                return
            self._tell(State.TAKING_BACK, why)
        self._tell(State.TAKING_BACK, "the autopilot does not land: descending by setpoints")
        self._wait(self._descend, Outcome.LOST, lambda: "it did not come down")

    def _wait_for_mode(self, mode: str) -> None:
        state = self._link.state
        self._wait(
            lambda: self._is_in(mode),
            Outcome.LOST,
            lambda: f"it accepted {mode} and is in {state.mode}",
        )

    def _land(self) -> None:
        """Wait until it is down and disarmed; disarm it where the autopilot is not set to do so."""
        link, modes = self._link, (LAND, RETURN, self._link.state.mode)
        self._tell(State.LANDING, f"in {link.state.mode}")
        down_since: float | None = None

        def disarmed() -> bool:
            nonlocal down_since
            if not link.state.armed:
                return True
            if link.state.on_ground:
                down_since = down_since or time.monotonic()
                if time.monotonic() - down_since > DISARMS_WITHIN:
                    self._order(link.orders.disarm)
            else:
                down_since = None
                self._keep(modes)
            return False

        self._wait(disarmed, Outcome.LOST, lambda: f"it is still armed, in {link.state.mode}")
        self._tell(State.LANDING, "on the ground, disarmed")

    # What the steps are made of.

    def _take_events(self) -> list[Event]:
        """Give what has arrived to the pilot."""
        events = self._vehicle.wait()
        coming_down = self.state in (State.TAKING_BACK, State.LANDING)
        for event in events:
            self._watch(event)
            if not coming_down:
                self._pilot.on_event(event)
            if isinstance(event, Odometry):
                x, y, z = event.position.tolist()
                self._place = (x, y, z)
        return events

    def _step(self) -> Command:
        """Let the pilot fly for one batch of events."""
        self._take_events()
        command = self._pilot.command(time.monotonic_ns())
        self._watch(command)
        self._tell_mode(command)
        self._vehicle.command(command)
        if self._link.authority.lapsed:
            raise _Ended(Outcome.LOST, self._link.authority.lapsed)
        return command

    def _rest(self) -> None:
        """Hold the vehicle where it is, as long as it follows."""
        self._take_events()
        self._link.command(Command(time.monotonic_ns(), mode=Mode.HOVER), fresh=False)

    def _is_in(self, mode: str) -> bool:
        self._rest()
        state = self._link.state
        return not state.armed or state.mode == mode

    def _descend(self) -> bool:
        self._take_events()
        down = Command(time.monotonic_ns(), vz=-0.5, mode=Mode.LAND, reason="mission: landing")
        self._link.command(down, fresh=False)
        return self._link.state.on_ground is True or not self._link.state.armed

    def _order(self, give: Callable[[], str], meanwhile: Callable[[], object] | None = None) -> str:
        """Give an order on another thread, because it waits for its answer; return the refusal."""
        answers: list[str] = []
        thread = threading.Thread(target=lambda: answers.append(give()), daemon=True)
        thread.start()
        while thread.is_alive():
            (meanwhile or self._take_events)()
        return answers[0]

    def _wait(
        self, condition: Callable[[], object], outcome: Outcome, why: Callable[[], str]
    ) -> None:
        """Wait until something is so; end after the patience, or on the operator's word."""
        end = time.monotonic() + self._config.patience
        while not condition():
            if self.state not in (State.TAKING_BACK, State.LANDING):
                self._obey_operator()
            if time.monotonic() > end:
                raise _Ended(outcome, f"waited {self._config.patience:g} s in vain: {why()}")
            self._take_events()

    def _obey_operator(self) -> None:
        if self._stop.is_set():
            raise _Ended(Outcome.OPERATOR, "stopped")

    def _keep(self, modes: tuple[str, ...]) -> None:
        """End if the autopilot is in another mode, or is lost: then somebody else has it."""
        state = self._link.state
        if state.silence(time.monotonic_ns()) > SILENT:
            raise _Ended(Outcome.LOST, f"the autopilot has been silent for {SILENT:g} s")
        if state.mode not in modes:
            raise _Ended(Outcome.LOST, f"the autopilot went to {state.mode}")
        if not state.armed:
            raise _Ended(Outcome.LOST, "the autopilot is disarmed")

    def _reached(self) -> bool:
        goal, begin, place = self._config.goal, self._begin, self._place
        if goal is None or begin is None or place is None:
            return False
        away = [p - b - g for p, b, g in zip(place, begin, goal, strict=True)]
        return math.hypot(*away) <= self._config.radius

    def _tell(self, state: State, text: str) -> None:
        self.state = state
        self._say(state, text)

    def _tell_mode(self, command: Command) -> None:
        """Tell when a failsafe begins or ends."""
        reason = "" if command.mode is Mode.NOMINAL else command.reason
        if (command.mode, reason) != self._mode:
            self._mode = (command.mode, reason)
            self._say(self.state, f"{command.mode.value}{f': {reason}' if reason else ''}")
