"""Simulated judgements: images of differing hardness, networks of differing skill, seeds of differing luck."""

import numpy as np

from dis2_train.judging.evaluation import Evaluation

PIXELS = 400


def evaluation(rates, truths, *, label="a", seed=0, network="net", sensors=("a", "b"), random=None):
    """An Evaluation of two classes: condition -> (N,) probability that a pixel is right; `truths` (N,) of class 1."""
    random = random or np.random.default_rng(0)
    counts = {name: _counts(rate, np.asarray(truths), random) for name, rate in rates.items()}
    return Evaluation(
        label=label, network=network, seed=seed, dataset="sim", split="val", classes=("dry", "flood"), sensors=sensors,
        ids=tuple(f"t{place}" for place in range(len(truths))), counts=counts, grid=(20, 20),
    )  # fmt: skip


def _counts(rate, truths, random):
    """(N, 2, 3) counts of images in which each pixel is right with the image's `rate`."""
    pixels = np.stack([PIXELS - truths, truths], axis=1)
    right = random.binomial(pixels, rate[:, None])
    wrong, none = pixels - right, np.zeros(len(truths), int)
    return np.stack(
        [np.stack([right[:, 0], wrong[:, 0], none], 1), np.stack([wrong[:, 1], right[:, 1], none], 1)], axis=1
    )


class World:
    """Where evaluations come from: `skill` a network, how much an image's hardness and a seed's luck vary."""

    def __init__(self, number, images, *, luck=0.0, spread=0.6):
        self.random = np.random.default_rng((97, number))
        self.hardness = self.random.normal(0, spread, images)
        self.truths = self.random.integers(40, 200, images)
        self.luck = luck

    def network(self, skill, *, label, seeds=1):
        own = self.random.normal(0, 0.3, len(self.truths))  # what this network finds hard and others don't
        return [
            evaluation(
                {"a+b": _share(skill + self.random.normal(0, self.luck) + self.hardness + own)},
                self.truths, label=f"{label}{seed}", seed=seed, network=label, random=self.random,
            )
            for seed in range(seeds)
        ]  # fmt: skip


def _share(logit):
    return 1 / (1 + np.exp(-logit))
