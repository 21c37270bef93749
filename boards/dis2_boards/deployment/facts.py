"""What the agent says of its machine at the greeting, as a value that the checks read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from dis2_edge.errors import BoardError
from dis2_edge.settings import from_table


@dataclass(frozen=True)
class Facts:
    """A machine, as its agent found it."""

    python: str
    """Version of the Python that runs the agent."""
    python_tag: str
    """Its tag: cp311."""
    machine: str
    """Processor architecture: aarch64, x86_64."""
    root: str
    """The root folder, absolute."""
    glibc: str = ""
    """Version of its C library; empty where it is another one."""
    user: str = ""
    """Who is logged in."""
    home: str = ""
    """Their home folder."""
    free_bytes: int = 0
    """Free where the root folder lies."""
    memory_bytes: int = 0
    """Memory in all."""
    memory_free_bytes: int = 0
    """Memory that a new process can have."""
    writable: bool = True
    """Whether the root folder can be written."""
    sudo: bool = False
    """Whether sudo works without a password."""
    systemd: bool = False
    """Whether systemd runs."""
    venv: bool = True
    """Whether its Python can make environments."""
    tensorrt: str = ""
    """Version of TensorRT; empty where there is none."""
    cuda: str = ""
    """Version of CUDA; empty where there is none."""
    jtop: bool = False
    """Whether jetson-stats is there."""
    workstation: bool = False
    """Whether it looks like a workstation."""
    detected: dict[str, Any] = field(default_factory=dict)
    """Which board it was found to be."""
    current: str | None = None
    """Id of the version that flies."""
    trusted: tuple[str, ...] = ()
    """Names of the keys that the board trusts; none: it takes every bundle."""
    service: str = "none"
    """How it is started."""

    @property
    def board(self) -> str:
        """Name of the board that was found; empty where none was."""
        return str(self.detected.get("board") or "")

    @property
    def fitting(self) -> str:
        """Name of the board to pack for: the one that was found, which need not have a profile, else by processor."""
        return self.board or ("generic-arm64" if self.machine == "aarch64" else "host")

    @property
    def tag(self) -> str:
        """The tag of the locks that fit: cp310-aarch64."""
        return f"{self.python_tag}-{self.machine}"


def facts_of(hello: Mapping[str, Any]) -> Facts:
    """The facts in an agent's greeting; what it says beyond them is left."""
    known = {row.name for row in fields(Facts)}
    # An agent says null of what it could not find out; the field's own default says so here.
    said = {key: value for key, value in hello.items() if key in known and (value is not None)}
    return from_table(Facts, said, where="the agent's greeting", error=BoardError)
