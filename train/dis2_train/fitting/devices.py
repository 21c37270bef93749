"""Where a training runs: one process, or several over devices and nodes, joined by Lightning Fabric."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.distributed as processes
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy

from dis2_edge.errors import RecipeError, UserError
from dis2_edge.terminal import hush
from dis2_train.device import choose_device

_PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
"""Fabric's words for a recipe's."""
_INTERACTIVE = ("bash", "interactive")
"""Names of SLURM jobs in which a person types: what runs there was not started by srun for each task."""


@contextlib.contextmanager
def joined(device: str, precision: str, devices: int = 0, nodes: int = 0) -> Iterator[Fabric]:
    """The processes of a training, joined for the time of the `with`.

    `devices` a node and `nodes` are found where torchrun or SLURM started the processes; elsewhere, with several
    devices on one node, this command is started again for each further one. Processes but the first say nothing. When
    one fails the others do not wait for it: they fail too, and say that another did.
    """
    fabric = _fabric(device, precision, *found(os.environ, devices, nodes))
    try:
        if fabric.world_size > 1:
            fabric.launch()
            if not fabric.is_global_zero:
                hush()
        yield fabric
        fabric.barrier()
    except RuntimeError as cause:
        _end_others(fabric)
        if fabric.world_size > 1 and _is_lost_peer(cause):
            raise UserError(
                "another process of this training failed", mend="mend what it says, then go on by --resume"
            ) from cause
        raise
    except BaseException:
        _end_others(fabric)
        raise
    finally:
        if processes.is_available() and processes.is_initialized():
            _keep_to_the_end(processes.group.WORLD)
            processes.destroy_process_group()


def found(environment: Mapping[str, str], devices: int, nodes: int) -> tuple[int, int]:
    """Devices a node and nodes: what torchrun or SLURM started, else what was asked for; RecipeError if they differ."""
    for count, what in ((devices, "devices"), (nodes, "nodes")):
        if count < 0:
            raise RecipeError(f"--{what} is {count}", expected="0 to find out, or more")
    started, by = _started(environment)
    if not started:
        if nodes > 1 and "NODE_RANK" not in environment:
            raise RecipeError(
                f"--nodes is {nodes}, and nothing started this command on the others",
                mend="start it by torchrun or srun (see docs/training.md, Several devices)",
            )
        return max(1, devices), max(1, nodes)
    for asked, there, what in ((devices, started[0], "devices"), (nodes, started[1], "nodes")):
        if asked not in (0, there):
            raise RecipeError(f"--{what} is {asked}, and {by} started {there}", mend=f"leave --{what} out")
    return started


def _fabric(device: str, precision: str, devices: int, nodes: int) -> Fabric:
    place = choose_device(device).type
    if precision == "fp16" and place == "cpu":
        raise RecipeError("precision is fp16 on a CPU", expected="a GPU for it", mend="--set precision=bf16")
    if place == "cuda" and devices > torch.cuda.device_count():
        raise RecipeError(f"--devices is {devices}, and there are {torch.cuda.device_count()} GPUs here")
    known: Any = {"accelerator": place, "devices": devices, "num_nodes": nodes, "precision": _PRECISIONS[precision]}
    if devices * nodes == 1:  # named, so that no variable of a cluster makes it look for others
        return Fabric(**known, plugins=[LightningEnvironment()])
    # A step trains the branches of one scenario: the parameters of the others have no gradient in it.
    return Fabric(**known, strategy=DDPStrategy(find_unused_parameters=True))


def _started(environment: Mapping[str, str]) -> tuple[tuple[int, int] | tuple[()], str]:
    """(Devices a node, nodes) that a launcher started, and its name; () where none did."""
    if "TORCHELASTIC_RUN_ID" in environment:
        here = int(environment["LOCAL_WORLD_SIZE"])
        return (here, int(environment["WORLD_SIZE"]) // here), "torchrun"
    tasks = int(environment.get("SLURM_NTASKS", "1"))
    if tasks == 1 or environment.get("SLURM_JOB_NAME") in _INTERACTIVE or "SLURM_PROCID" not in environment:
        return (), ""
    if "SLURM_NTASKS_PER_NODE" not in environment:
        raise RecipeError(
            f"SLURM started {tasks} tasks, and does not say how many a node", mend="add --ntasks-per-node to the job"
        )
    return (int(environment["SLURM_NTASKS_PER_NODE"]), int(environment.get("SLURM_NNODES", "1"))), "SLURM"


def _keep_to_the_end(group: object) -> None:
    """Let `group` live until this process ends, longer than all that learnt by it.

    Whoever drops a group last waits for its threads, and one of these may wait for Python's lock to drop a tensor. The
    handle lets go of the lock meanwhile; the reducer of DistributedDataParallel does not, and must not be the last.
    """
    held = [group]

    def let_go() -> None:
        gc.collect()  # reducers, which stand in circles
        held.clear()

    atexit.register(let_go)


def _is_lost_peer(cause: RuntimeError) -> bool:
    distributed = isinstance(cause, processes.DistError)
    return distributed or re.search(r"gloo|NCCL|Connection (closed|reset)|Broken pipe", str(cause)) is not None


def _end_others(fabric: Fabric) -> None:
    """End the processes that this one started: they write nothing, and may wait in a collective for ever."""
    for process in getattr(fabric.strategy.launcher, "procs", ()):
        process.kill()
