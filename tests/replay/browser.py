"""A headless Chromium that opens a page and runs script in it, in real time."""

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

PATH = next(
    filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None
)
"""Where it is, or None."""


class Browser:
    """Speaks the DevTools protocol over a pipe, which needs no package.

    Args:
        profile: directory for its files.

    Attributes:
        complaints: errors and warnings of the pages so far.

    """

    def __init__(self, profile: Path) -> None:
        assert PATH is not None
        self.complaints: list[str] = []
        from_us, self._to = os.pipe()
        back, to_us = os.pipe()
        # The browser reads from descriptor 3 and writes to 4.
        start = f'exec "$@" 3<&{from_us} 4>&{to_us}'
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        self._process = subprocess.Popen(
            ["bash", "-c", start, "bash", PATH, *flags, f"--user-data-dir={profile}"],
            pass_fds=(from_us, to_us),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(from_us)
        os.close(to_us)
        self._from = os.fdopen(back, "rb")
        self._number, self._rest = 0, b""
        # One that hangs must not keep the tests: with it gone, reading ends.
        self._alarm = threading.Timer(60, self._process.kill)
        self._alarm.start()

    def __enter__(self) -> "Browser":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._alarm.cancel()
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        self._from.close()

    def open(self, address: str, script: str) -> Any:
        """Open a page and give what `script`, an async function's body, returns in it."""
        self._page(address)
        return self.run(script)

    def open_at(self, width: int, address: str, script: str) -> Any:
        """Open a page in a window of this many pixels, and run a script as `open` does."""
        self._page(address, width)
        return self.run(script)

    def run(self, script: str) -> Any:
        """Give what a script, an async function's body, returns in the page that is open."""
        waiting = "if (document.readyState !== 'complete') await new Promise(r => onload = r);"
        answer = self._call(
            "Runtime.evaluate",
            self._session,
            expression=f"(async () => {{ {waiting} {script} }})()",
            awaitPromise=True,
            returnByValue=True,
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def drag(self, begin: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the mouse at a point of the window, in pixels, move it, and release it."""
        middle = ((begin[0] + end[0]) / 2, (begin[1] + end[1]) / 2)
        for kind, (x, y) in (
            ("mousePressed", begin),
            ("mouseMoved", middle),
            ("mouseMoved", end),
            ("mouseReleased", end),
        ):
            self._call(
                "Input.dispatchMouseEvent",
                self._session,
                type=kind,
                x=x,
                y=y,
                button="left",
                buttons=0 if kind == "mouseReleased" else 1,
                clickCount=1,
            )

    def _page(self, address: str, width: int | None = None) -> None:
        """Open a page in a tab of its own, and wait until it has begun to load."""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._session = session
        for domain in ("Runtime", "Log", "Page"):
            self._call(f"{domain}.enable", session)
        if width is not None:
            size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": True}
            self._call("Emulation.setDeviceMetricsOverride", session, **size)
        self._call("Page.navigate", session, url=address)
        while self._call("Runtime.evaluate", session, expression="location.href")["result"][
            "value"
        ] in ("about:blank", ""):
            pass

    def _call(self, method: str, session: str | None = None, **parameters: object) -> Any:
        self._number += 1
        content: dict[str, object] = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            content["sessionId"] = session
        os.write(self._to, json.dumps(content).encode() + b"\0")
        while True:
            message = self._read()
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            told = message.get("params", {})
            name = message.get("method")
            if name == "Runtime.exceptionThrown" or (
                name == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning")
            ):
                self.complaints.append(json.dumps(told))
            if name == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning"):
                self.complaints.append(json.dumps(told))

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = self._from.read1(1 << 16)
            assert more, "the browser has ended"
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(message))
