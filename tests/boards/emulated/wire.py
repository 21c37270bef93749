"""The only cable of the board: a port of 127.0.0.1 here, its port 22 there. It counts, can be cut, and can be noisy.

The board lives in a network namespace that has nothing but its own loopback: what reaches it came through here.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import threading
from dataclasses import dataclass, field

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
PIECE = 1 << 16
ENDS_AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER so that a closed connection is reset: a cable that was pulled, not one that was hung up."""


@dataclass
class Line:
    """One connection through the cable."""

    near: socket.socket
    """Towards the workstation."""
    far: socket.socket
    """Towards the board."""
    sent: int = 0
    """Bytes from the workstation to the board."""
    heard: int = 0
    """Bytes from the board to the workstation."""


@dataclass
class Wire:
    """The cable; `open` it before the board starts."""

    port: int = 0
    """The port here, chosen by the system."""
    sent: int = 0
    """Bytes that all lines carried to the board."""
    heard: int = 0
    """Bytes that all lines carried back."""
    flip_after: int | None = None
    """The next line that carries more than so many bytes to the board gets one bit of the next piece flipped."""
    plugged: bool = True
    """Whether new lines reach the board."""
    _lines: list[Line] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ready: threading.Event = field(default_factory=threading.Event)
    _namespace: str = ""
    _listener: socket.socket = field(default_factory=socket.socket)

    def open(self) -> Wire:
        """Listen here, and make the board's network."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, name="wire", daemon=True).start()
        if not self._ready.wait(30) or not self._namespace:
            raise OSError("no network namespace can be made here")
        return self

    @property
    def namespace(self) -> str:
        """Path of the board's network namespace, for nsenter; it lasts as long as this process."""
        return self._namespace

    def cut(self) -> None:
        """Reset every connection."""
        with self._lock:
            lines, self._lines = self._lines, []
        for line in lines:
            _reset(line)

    def close(self) -> None:
        """Cut, and listen no more."""
        self.plugged = False
        self._listener.close()
        self.cut()

    def _serve(self) -> None:
        """This thread alone stands in the board's network, and makes the far end of every line there."""
        try:
            _enter_new_network()
            self._namespace = f"/proc/{os.getpid()}/task/{threading.get_native_id()}/ns/net"
        finally:
            self._ready.set()
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    if not self.plugged:
                        raise OSError("unplugged")
                    far = socket.create_connection(("127.0.0.1", 22), timeout=10)
                except OSError:
                    near.close()
                    continue
                far.settimeout(None)
                line = Line(near, far)
                with self._lock:
                    self._lines.append(line)
                threading.Thread(target=self._carry, args=(line, True), daemon=True).start()
                threading.Thread(target=self._carry, args=(line, False), daemon=True).start()

    def _carry(self, line: Line, up: bool) -> None:
        """Carry one direction of a line until its end, which is told to the other side."""
        source, sink = (line.near, line.far) if up else (line.far, line.near)
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE):
                sink.sendall(self._counted(line, piece, up))
            sink.shutdown(socket.SHUT_WR)

    def _counted(self, line: Line, piece: bytes, up: bool) -> bytes:
        with self._lock:
            if not up:
                line.heard, self.heard = line.heard + len(piece), self.heard + len(piece)
                return piece
            line.sent, self.sent = line.sent + len(piece), self.sent + len(piece)
            if self.flip_after is None or line.sent <= self.flip_after:
                return piece
            self.flip_after = None
            middle = len(piece) // 2
            return piece[:middle] + bytes([piece[middle] ^ 1]) + piece[middle + 1 :]


def _enter_new_network() -> None:
    """Move this thread into a network of its own, whose loopback is up."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP) + b"\0" * 22)


def _reset(line: Line) -> None:
    for end in (line.near, line.far):
        with contextlib.suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ENDS_AT_ONCE)
            end.shutdown(socket.SHUT_RDWR)
        end.close()
