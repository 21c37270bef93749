"""Simulated judgements: images of differing hardness, networks of differing skill, seeds of differing luck.

`python tests/train/judging/simulated.py` prints how often an interval of a difference holds the truth.
"""

import numpy as np

from dis2_train.judging.comparison import compare
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


def expected(skill, luck=0.0):
    """The mIoU that a network of `skill` has over endless images, as a World of spread 0.6 makes them."""
    random = np.random.default_rng(1)
    spread = np.sqrt(0.6**2 + 0.3**2)
    truths = random.integers(40, 200, 40_000)
    values = []
    for lucky in random.normal(0, luck, 60) if luck else [0.0]:
        rate = _share(skill + lucky + random.normal(0, spread, len(truths)))
        hits = np.array([(rate * (PIXELS - truths)).sum(), (rate * truths).sum()])
        wrong = ((1 - rate) * PIXELS).sum()  # every wrong pixel is a miss of one class and a false call of the other
        values.append((hits / (hits + wrong)).mean())
    return float(np.mean(values))


def held(images, seeds, luck, times):
    """Of `times` simulated comparisons of two networks, the share whose interval holds the expected difference."""
    truth, hits = expected(1.6, luck) - expected(1.4, luck), 0
    for number in range(times):
        world = World(number + 1000, images, luck=luck)
        groups = {label: world.network(skill, label=label, seeds=seeds) for label, skill in (("b", 1.4), ("a", 1.6))}
        found = compare(groups, resamples=400, seed=number).rows[1].differences["a+b"]["miou"]
        hits += found.low <= truth <= found.high
    return hits / times


if __name__ == "__main__":
    for images, seeds, luck in ((20, 1, 0.0), (60, 1, 0.0), (200, 1, 0.0), (60, 2, 0.25), (60, 3, 0.25), (60, 5, 0.25)):
        share = held(images, seeds, luck, 500)
        print(f"{images} images, {seeds} seeds, luck {luck}: {100 * share:.1f} % of 500 intervals hold the truth")
