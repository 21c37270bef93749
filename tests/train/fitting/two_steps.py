"""A recipe of two steps, tiny, and ways to stop its training."""

import os
import signal

from dis2_edge.recipe import Recipe
from dis2_train.fitting.loop import Training

TINY = {"width": 0.125, "grid": (32, 32), "crop": 16, "batch": 4, "epochs": 2, "threads": 1, "evaluate_every": 2}
# What a run begins with must not come again when it is resumed.
RECIPE = Recipe(network="csknet", begin_with="teacher", **TINY)
STEPS = 4
"""Of the teacher, and again of the network."""


class PowerCutError(BaseException):
    pass


def stop_after(monkeypatch, steps, how):
    """End the training after that many steps, those of the teacher counted first: by a power cut or by SIGTERM."""
    real, taken = Training.step, []

    def step(*args):
        if how == "cut" and len(taken) == steps:
            raise PowerCutError
        real(*args)
        taken.append(args)
        if how == "term" and len(taken) == steps:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Training, "step", step)


def take_no_step(monkeypatch):
    """Fail where anything is trained."""
    monkeypatch.setattr(Training, "step", lambda *args: 1 / 0)
