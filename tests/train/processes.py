"""Start one training as several processes, as torchrun does; the script that each of them runs is this file."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

ROOTS = [str(Path(__file__).parents[2] / name) for name in (".", "train")]
NO_LAUNCHER = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "TORCHELASTIC_RUN_ID", "NODE_RANK"}


def launch(world: int, *words: object, extra: dict[str, str] | None = None) -> list[subprocess.Popen]:
    """`world` processes of `main` below with `words`, joined; `extra` adds environment variables."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    plain = {name: value for name, value in os.environ.items() if name not in NO_LAUNCHER}
    shared = {**plain, "PYTHONPATH": os.pathsep.join(ROOTS), "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    shared |= {"MASTER_PORT": str(port), "WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world)}
    shared |= {"TORCHELASTIC_RUN_ID": "test"} if world > 1 else {}
    command = [sys.executable, __file__, *map(str, words)]
    places = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(world)]
    return [
        subprocess.Popen(
            command, env={**shared, **place, **(extra or {})}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for place in places
    ]


def finish(started: list[subprocess.Popen], timeout_s: float = 120) -> list[tuple[int, str]]:
    """(Exit code, all it said) of each process."""
    try:
        said = [process.communicate(timeout=timeout_s) for process in started]
    finally:
        for process in started:
            process.kill()
    return [(process.returncode, out + error) for process, (out, error) in zip(started, said, strict=True)]


def main(recipe: str, data: str, out: str, resume: str = "") -> int:
    """Train as the command does; the environment says what is frozen, fails or is stopped."""
    from dis2_edge import cli
    from dis2_train import networks
    from dis2_train.loop import Training

    build, step = networks.build, Training.step
    if os.environ.get("FROZEN"):
        networks.build = lambda *args: frozen(build(*args))
    if os.environ.get("FAILS") == os.environ["RANK"]:
        networks.build = _fail
    if os.environ.get("STOPPED") == os.environ["RANK"]:
        Training.step = lambda *args: (step(*args), os.kill(os.getpid(), signal.SIGTERM))
    words = ["train", recipe, "--data", data, "--out", out, "--device", "cpu", *([resume] if resume else [])]
    return cli.main(words)


def frozen(network):
    """`network` with norms that keep their statistics and without dropout: a batch in parts is then the whole one."""
    from torch import nn

    for part in network.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
        if isinstance(part, nn.BatchNorm2d):
            part.training, part.train = False, lambda mode=True, part=part: part
    return network


def _fail(*args):
    raise OSError("this process lost its disk")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
