"""Start one training as several processes, as torchrun does; the script that each of them runs is this file."""

import faulthandler
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOTS = [str(Path(__file__).parents[2] / name) for name in (".", "train")]
HANG_S = 200
"""Seconds after which a process says where it is, and ends."""
NO_LAUNCHER = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "TORCHELASTIC_RUN_ID", "NODE_RANK"}


def launch(world: int, *words: object, extra: dict[str, str]) -> list[subprocess.Popen]:
    """`world` processes of `main` below with `words`, joined as torchrun does; `extra` adds environment variables."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    joined = {"TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    joined |= {"WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world), **extra}
    return [_process(words, {**joined, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(world)]


def launch_by_command(world: int, *words: object, extra: dict[str, str]) -> list[subprocess.Popen]:
    """One process of `main`, told by `--devices` to start the others."""
    return [_process([*words, "--devices", world], extra)]


def _process(words: Sequence[object], extra: dict[str, str]) -> subprocess.Popen:
    plain = {name: value for name, value in os.environ.items() if name not in NO_LAUNCHER}
    environment = {**plain, "PYTHONPATH": os.pathsep.join(ROOTS), "OMP_NUM_THREADS": "1", **extra}
    command = [sys.executable, __file__, *map(str, words)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(started: list[subprocess.Popen], timeout_s: float = 250) -> list[tuple[int, str]]:
    """(Exit code, all it said) of each process."""
    try:
        said = [process.communicate(timeout=timeout_s) for process in started]
    finally:
        for process in started:
            process.kill()
    return [(process.returncode, out + error) for process, (out, error) in zip(started, said, strict=True)]


def main(recipe: str, data: str, out: str, *more: str) -> int:
    """Train as the command does; the environment says what is frozen, fails or is stopped."""
    faulthandler.dump_traceback_later(HANG_S, exit=True)  # one that hangs tells where
    from dis2_edge import cli
    from dis2_train import networks
    from dis2_train.fitting.loop import Training

    build, step = networks.build, Training.step
    if os.environ.get("FROZEN"):
        networks.build = lambda *args: frozen(build(*args))
    if os.environ.get("FAILS", "") == os.environ.get("RANK"):
        networks.build = _fail
    if os.environ.get("STOPPED", "") == os.environ.get("RANK"):
        Training.step = lambda *args: (step(*args), os.kill(os.getpid(), signal.SIGTERM))
    words = ["train", recipe, "--data", data, "--out", out, "--device", "cpu", *more]
    return cli.main(words)


def frozen(network):
    """`network` as in use, also while it learns: norms keep their statistics, nothing is dropped, images stay apart."""
    network.eval()
    network.train = lambda mode=True: network
    return network


def _fail(*args):
    raise OSError("this process lost its disk")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
