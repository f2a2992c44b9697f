"""Bytes to and from an autopilot: over UDP, or over a serial line.

Addresses:

========================  ===================================================================
``udp:[HOST:]PORT``       wait at this port for the autopilot, and answer where it sent from
``udpout:HOST:PORT``      send to this address first
``serial:DEVICE[:BAUD]``  a serial line; 921600 baud unless told otherwise
========================  ===================================================================
"""

import contextlib
import os
import re
import select
import socket
import termios
import time
import tty
from abc import ABC, abstractmethod

from liquid_nav.errors import ConfigError

FORMS = "udp:[HOST:]PORT, udpout:HOST:PORT or serial:DEVICE[:BAUD]"
BAUD = 921600

_LARGEST_READ = 65536
_REOPEN = 1.0
"""Seconds between two tries to open a serial device that has gone."""


class Transport(ABC):
    """Carries bytes. Only making one raises: in flight a fault is a message that is lost."""

    @abstractmethod
    def receive(self, timeout: float) -> tuple[bytes, str]:
        """Wait up to `timeout` seconds; return the bytes and who sent them, empty on nothing."""

    @abstractmethod
    def send(self, data: bytes) -> bool:
        """Send one message; whether it has left."""

    @abstractmethod
    def answer_to(self, sender: str) -> None:
        """Send to this sender of `receive` from now on."""

    @property
    @abstractmethod
    def peer(self) -> str:
        """To whom `send` sends, in the words of `receive`; empty while nobody is known."""

    @abstractmethod
    def close(self) -> None:
        """Release the port or the device; no harm if that was done before."""


def address_fault(address: str) -> str:
    """Return what is wrong with the form of an address; empty if nothing is."""
    try:
        _parsed(address)
    except ConfigError as error:
        return str(error)
    return ""


def open_transport(address: str, shared: bool = False) -> Transport:
    """Open a transport.

    Args:
        address: see the module.
        shared: whether a second process may wait at the same UDP port, as the supervisor must when
            it takes over from a controller that hangs. The one that opened last receives.

    Raises:
        ConfigError: on an address that cannot be read, a port that is taken, or a device that
            cannot be opened.

    """
    kind, place, number = _parsed(address)
    if kind == "serial":
        return SerialTransport(place, number)
    return UdpTransport(place, number, waits=kind == "udp", shared=shared)


def _parsed(address: str) -> tuple[str, str, int]:
    """Kind, host or device, and port or baud rate."""
    found = re.fullmatch(r"(udp|udpout|serial):(?:(.*):)?([^:]+)", address)
    if found is not None:
        kind, place, last = found.groups()
        if kind == "serial":
            rate = int(last) if last.isdecimal() and place else BAUD
            device = place if last.isdecimal() and place else ":".join(filter(None, (place, last)))
            if not hasattr(termios, f"B{rate}"):
                raise ConfigError(f"address {address!r}: {rate} baud is no rate of serial lines")
            return kind, device, rate
        if last.isdecimal() and 0 <= int(last) < 65536 and (place or kind == "udp"):
            return kind, place or "0.0.0.0", int(last)
    raise ConfigError(f"address must be {FORMS}, got {address!r}")


class UdpTransport(Transport):
    """Datagrams; each holds whole messages.

    Args:
        host, port: where to wait, or where to send.
        waits: whether to wait at that address.
        shared: as in `open_transport`.

    """

    def __init__(self, host: str, port: int, waits: bool, shared: bool = False) -> None:
        self._peer: tuple[str, int] | None = None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            if shared:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if waits:
                self._socket.bind((host, port))
            else:
                self._peer = (socket.gethostbyname(host), port)
                self._socket.bind(("0.0.0.0", 0))
            self._socket.setblocking(False)
        except OSError as error:
            self._socket.close()
            raise ConfigError(f"UDP {host}:{port}: {error.strerror or error}") from error

    @property
    def port(self) -> int:
        """The local port."""
        return int(self._socket.getsockname()[1])

    def receive(self, timeout: float) -> tuple[bytes, str]:
        """See `Transport.receive`. The answer to a closed port on the other side is nothing."""
        try:
            if not select.select([self._socket], [], [], timeout)[0]:
                return b"", ""
            data, (host, port) = self._socket.recvfrom(_LARGEST_READ)
        except (OSError, ValueError):  # ValueError: closed by another thread.
            return b"", ""
        return data, f"{host}:{port}"

    def send(self, data: bytes) -> bool:
        """See `Transport.send`."""
        if self._peer is None:
            return False
        try:
            self._socket.sendto(data, self._peer)
        except OSError:
            return False
        return True

    def answer_to(self, sender: str) -> None:
        """See `Transport.answer_to`."""
        host, _, port = sender.rpartition(":")
        if host and port.isdecimal():
            self._peer = (host, int(port))

    @property
    def peer(self) -> str:
        """See `Transport.peer`."""
        return "" if self._peer is None else "{}:{}".format(*self._peer)

    def close(self) -> None:
        """See `Transport.close`."""
        self._socket.close()


class SerialTransport(Transport):
    """A serial line, 8N1, without flow control.

    A device that goes, such as a USB plug that is drawn, is opened again when it is there again.

    Args:
        device: path of the device.
        baud: rate, one of those that termios knows.

    """

    peer = "serial"

    def __init__(self, device: str, baud: int = BAUD) -> None:
        self._device, self._rate = device, getattr(termios, f"B{baud}")
        self._closed, self._opened_at = False, time.monotonic()
        try:
            self._file: int | None = self._open()
        except (OSError, termios.error) as error:
            raise ConfigError(f"serial device {device}: {error.args[-1]}") from error

    def _open(self) -> int:
        file = os.open(self._device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            tty.setraw(file)
            settings = termios.tcgetattr(file)
            settings[2] |= termios.CLOCAL | termios.CREAD
            settings[2] &= ~termios.CRTSCTS
            settings[4] = settings[5] = self._rate
            termios.tcsetattr(file, termios.TCSANOW, settings)
        except (OSError, termios.error):
            os.close(file)
            raise
        return file

    def receive(self, timeout: float) -> tuple[bytes, str]:
        """See `Transport.receive`."""
        if self._file is None and not self._reopen():
            time.sleep(timeout)
            return b"", ""
        assert self._file is not None
        try:
            if not select.select([self._file], [], [], timeout)[0]:
                return b"", ""
            data = os.read(self._file, _LARGEST_READ)
        except BlockingIOError:
            return b"", ""
        except OSError:
            data = b""
        if not data:  # Hung up.
            self._drop()
            return b"", ""
        return data, self.peer

    def _reopen(self) -> bool:
        now = time.monotonic()
        if self._closed or now - self._opened_at < _REOPEN:
            return False
        self._opened_at = now
        with contextlib.suppress(OSError, termios.error):
            self._file = self._open()
        return self._file is not None

    def _drop(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                os.close(file)

    def send(self, data: bytes) -> bool:
        """See `Transport.send`. Of a message that does not fit into the queue the rest is lost."""
        if self._file is None:
            return False
        try:
            return os.write(self._file, data) == len(data)
        except OSError:
            return False

    def answer_to(self, sender: str) -> None:
        """Do nothing: a line has one other end."""

    def close(self) -> None:
        """See `Transport.close`."""
        self._closed = True
        self._drop()
