"""What this machine must have for a board without a board. Where something lacks, the board is skipped and says why."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

PROGRAMS = {
    "qemu-aarch64-static": "qemu-user-static",
    "mkfs.ext4": "e2fsprogs",
    "mount": "mount",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
"""Program -> the Debian package that brings it."""
BINFMT = Path("/proc/sys/fs/binfmt_misc")
"""Where the kernel is told which program runs files of which form."""
RULE = "qemu-aarch64"
RULES = Path("/usr/lib/binfmt.d")
"""Where the package of QEMU says what has to be told."""


class LackingError(Exception):
    """No board can be made on this machine, and why."""


def check(programs: dict[str, str] | None = None) -> None:
    """Raise LackingError where the user, a program or the kernel rules a board out."""
    if os.geteuid() != 0:
        raise LackingError("not root: mounts, namespaces and binfmt_misc need it")
    for program, package in (PROGRAMS if programs is None else programs).items():
        if shutil.which(program) is None:
            raise LackingError(f"{program} is not here (Debian's package {package})")
    for words in (["unshare", "--mount", "--net", "--pid", "--fork", "true"], ["losetup", "--find"]):
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            raise LackingError(f"{' '.join(words)} does not work here: {done.stderr.strip()}")


def register() -> None:
    """Let the kernel run aarch64 programs by QEMU, until the machine restarts; LackingError where it refuses.

    It is called in a mount namespace of the board's own, so that no mount of ours is left behind.
    """
    if not (BINFMT / "status").exists():
        _do("mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT))
    if (BINFMT / RULE).exists():
        return
    rule = RULES / f"{RULE}.conf"
    if not rule.is_file():
        raise LackingError(f"{rule} is not here (Debian's package qemu-user-static)")
    try:
        (BINFMT / "register").write_text(_with_interpreter_held(rule.read_text("utf-8")))
    except OSError as cause:
        raise LackingError(f"binfmt_misc takes no rule for aarch64 ({cause.strerror})") from cause


def _with_interpreter_held(rule: str) -> str:
    """The rule with flag F: the kernel opens QEMU now, so that the board's root needs no copy of it."""
    rule = rule.strip()
    return rule if "F" in rule.rpartition(":")[2] else f"{rule}F"


def _do(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise LackingError(f"{' '.join(words)} does not work here: {done.stderr.strip()}")
