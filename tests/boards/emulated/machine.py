"""The board as a machine: a disk, processes, a switch. A power cut loses what was not yet on the disk."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from dis2_edge.errors import InternalError
from tests.boards.emulated.base import HOME, UID, USER
from tests.boards.emulated.wire import Wire

EXT4_SHUTDOWN, WITHOUT_FLUSH = 0x8004587D, 2
"""The file system's own power switch: from now on nothing reaches the disk, not even the journal of what is done."""
MADE_ON_POWER = ("host_key", "other_key", "pilot_key")
START_LIMIT_S = 120.0
_BLOCK = 4096
"""Bytes of the least piece that a disk gives."""
UNMOUNT_TRIES = 50
"""A mount of a namespace that ends lets go of the disk a moment later."""
SSHD = f"""Port 22
ListenAddress 127.0.0.1
HostKey /run/board/host_key
AuthorizedKeysFile /run/board/authorized
PidFile /run/board/sshd.pid
PasswordAuthentication no
PermitRootLogin no
StrictModes no
UsePAM no
PrintMotd no
AllowUsers {USER}
"""
POWER_ON = """set -e
mount --bind {root} {top}
mount -o remount,bind,ro {top}
mount -t proc proc {top}/proc
mount -t tmpfs -o mode=755 board {top}/run
mount -t tmpfs -o mode=1777,size=512m board {top}/tmp
mount -t tmpfs -o mode=1777 board {top}/dev/shm
mount -t tmpfs -o mode=755 board {top}/sys
mkdir -p {top}/sys/devices/system/cpu {top}/sys/class/thermal/thermal_zone0
echo 0-1 | tee {top}/sys/devices/system/cpu/possible > {top}/sys/devices/system/cpu/present
echo cpu-thermal > {top}/sys/class/thermal/thermal_zone0/type
echo 41000 > {top}/sys/class/thermal/thermal_zone0/temp
mount --bind {disk} {top}{data}
mkdir -p {top}/run/sshd {top}/run/board
cp {conf}/* {top}/run/board/
chmod 600 {top}/run/board/host_key
mount --bind {top}/run/board/boot_id {top}/proc/sys/kernel/random/boot_id
hostname board
exec chroot {top} /usr/sbin/sshd -D -e -f /run/board/sshd_config
"""


@dataclass
class Board:
    """One board, of which everything but the cable is in a folder here."""

    place: Path
    """Its folder: disk image, mount points, keys, sshd's words."""
    root: Path
    """Its Debian, only read."""
    wire: Wire
    """Its cable."""
    disk_mb: int
    """Size of the disk that its user has."""
    _power: subprocess.Popen[bytes] | None = None
    _namespace: str = "off"

    @property
    def powered(self) -> bool:
        """Whether it is on."""
        return self._power is not None

    @property
    def image(self) -> Path:
        """The disk of its user."""
        return self.place / "disk.img"

    @property
    def disk(self) -> Path:
        """Where that disk is seen from here."""
        return self.place / "disk"

    @property
    def home(self) -> Path:
        """The user's home, seen from here."""
        return self.disk / Path(HOME).name

    def prepare(self) -> None:
        """Keys and an empty disk; whatever the last one held is gone."""
        for folder in (self.place, self.disk, self.place / "top", self.place / "conf"):
            folder.mkdir(parents=True, exist_ok=True)
        for name in MADE_ON_POWER:
            if not (self.place / name).is_file():
                _do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(self.place / name))
        self.image.unlink(missing_ok=True)
        with self.image.open("wb") as file:
            file.truncate(self.disk_mb << 20)
        _do("mkfs.ext4", "-q", "-F", "-m", "0", str(self.image))
        self._mount()
        self.home.mkdir()
        os.chown(self.home, UID, UID)
        self._unmount()

    def on(self, host_key: str = "host_key") -> None:
        """Switch on and wait until sshd listens."""
        conf = self.place / "conf"
        shutil.copyfile(self.place / host_key, conf / "host_key")
        shutil.copyfile(self.place / "pilot_key.pub", conf / "authorized")
        (conf / "sshd_config").write_text(SSHD, "utf-8")
        (conf / "boot_id").write_text(f"{uuid.uuid4()}\n", "ascii")  # the kernel's own stays this machine's
        self._mount()
        script = POWER_ON.format(
            root=_quoted(self.root),
            top=_quoted(self.place / "top"),
            disk=_quoted(self.disk),
            conf=_quoted(conf),
            data=Path(HOME).parent,
        )
        words = ["setpriv", "--pdeathsig", "KILL", "nsenter", f"--net={self.wire.namespace}"]
        words += ["unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child", "sh", "-c", script]
        with (self.place / "sshd.log").open("wb") as log:
            self._power = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait_for_sshd()

    def off(self) -> None:
        """Switch off in order: all processes end, and everything is on the disk. No fault where it is off."""
        self._kill_all()
        self._unmount()

    def cut(self) -> None:
        """Cut the power: what was not yet on the disk is lost, every process is gone, connections hang in the air."""
        handle = os.open(self.disk, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, EXT4_SHUTDOWN, struct.pack("I", WITHOUT_FLUSH))
        finally:
            os.close(handle)
        self._kill_all()
        self.wire.cut()
        self._unmount()

    def save(self, name: str) -> None:
        """Keep the disk as it is now, the board being off."""
        _do("cp", "--sparse=always", str(self.image), str(self.place / f"{name}.img"))

    def load(self, name: str) -> None:
        """Put back a disk that was kept, the board being off."""
        _do("cp", "--sparse=always", str(self.place / f"{name}.img"), str(self.image))

    def has(self, name: str) -> bool:
        """Whether a disk of that name was kept."""
        return (self.place / f"{name}.img").is_file()

    def inside(self, command: str, limit_s: float = 300.0) -> subprocess.CompletedProcess[str]:
        """Run a shell's command on the board as its user, by no connection at all."""
        words = ["nsenter", "--target", str(self._init()), "--mount", "--pid", "--net", "--uts", "chroot"]
        words += [str(self.place / "top"), "/usr/bin/setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"]
        words += ["/usr/bin/env", "-i", f"HOME={HOME}", f"USER={USER}", "PATH=/usr/bin:/bin", "LANG=C.UTF-8"]
        words += ["OMP_NUM_THREADS=1", "/bin/sh", "-c", f"cd; {command}"]
        return subprocess.run(words, capture_output=True, text=True, timeout=limit_s, stdin=subprocess.DEVNULL)

    def processes(self) -> dict[int, str]:
        """Every process of the board: its number here, its command line."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.readlink(folder / "ns/pid") == self._namespace:
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        return found

    def kill(self, *parts: str) -> int:
        """Kill (SIGKILL) the board's processes whose command line holds each of `parts`; how many there were."""
        hit = [pid for pid, line in self.processes().items() if all(part in line for part in parts)]
        for pid in hit:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(hit)

    def fill(self, left_bytes: int) -> None:
        """Fill the disk until only `left_bytes` are left on it: by pieces, as their list takes room too."""
        handle = os.open(self.disk / "filler", os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            at, piece = 0, self._room() - left_bytes
            while (piece := min(piece, self._room() - left_bytes)) >= _BLOCK:
                try:
                    os.posix_fallocate(handle, at, piece)
                    at += piece
                except OSError:
                    piece //= 2
        finally:
            os.close(handle)

    def _room(self) -> int:
        room = os.statvfs(self.disk)
        return room.f_bavail * room.f_frsize

    def unfill(self) -> None:
        """Give the room back."""
        (self.disk / "filler").unlink(missing_ok=True)

    def _init(self) -> int:
        """The number here of the board's first process."""
        if not self.processes():
            raise InternalError("the board is off")
        return min(self.processes(), key=_in_namespace)

    def _wait_for_sshd(self) -> None:
        assert self._power is not None
        until = time.monotonic() + START_LIMIT_S
        while time.monotonic() < until and self._power.poll() is None:
            if b"Server listening" in (self.place / "sshd.log").read_bytes() and self._answers():
                self._namespace = os.readlink(f"/proc/{self._power.pid}/ns/pid_for_children")
                return
            time.sleep(0.2)
        raise InternalError(
            f"the board did not start: {(self.place / 'sshd.log').read_text('utf-8', 'replace')[-500:]}"
        )

    def _answers(self) -> bool:
        """Whether something greets through the cable."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.wire.port), timeout=20) as line:
            return line.recv(4) == b"SSH-"
        return False

    def _kill_all(self) -> None:
        if self._power is None:
            return
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._power.kill()
        self._power.wait()
        until = time.monotonic() + 30
        while self.processes() and time.monotonic() < until:
            time.sleep(0.05)
        self._power, self._namespace = None, "off"

    def _mount(self) -> None:
        if not os.path.ismount(self.disk):
            _do("mount", "-o", "loop,data=ordered", str(self.image), str(self.disk))

    def _unmount(self) -> None:
        for left in reversed(range(UNMOUNT_TRIES)):
            if not os.path.ismount(self.disk):
                return
            if subprocess.run(["umount", str(self.disk)], capture_output=not left).returncode:
                time.sleep(0.2)
        raise InternalError(f"{self.disk} stays mounted")


def _in_namespace(pid: int) -> int:
    """The number that a process has on the board."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    return 1 << 30


def _quoted(path: Path) -> str:
    return shlex.quote(str(path.resolve()))


def _do(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise InternalError(f"{' '.join(words)}: {done.stderr.strip()}")
