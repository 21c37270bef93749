"""The keeper of a student that is tuned: it remembers the state in which the student did best."""

from __future__ import annotations

import copy
import math

from dis2_edge.scores import scores
from dis2_quantize.teaching.student import Student, logits_of
from dis2_train.data.batches import Split
from dis2_train.evaluate import evaluate


class Keeper:
    """Remembers all that a student consists of, weights, ranges and statistics, as it was when it did best."""

    def __init__(self, student: Student, validation: Split | None) -> None:
        self._student, self._validation = student, validation
        self._best, self._state = -math.inf, copy.deepcopy(student.network.state_dict())
        self.look()

    def look(self) -> None:
        """Score the student as it is; without a validation split the last state is the best one."""
        self._student.network.eval()
        found = math.inf
        if self._validation is not None:
            scenario = self._student.scenario
            found = scores(evaluate(logits_of([self._student]), self._validation, [scenario])[scenario]).miou
        if found >= self._best:
            self._best, self._state = found, copy.deepcopy(self._student.network.state_dict())

    def restore(self) -> None:
        """Give the student its best state back."""
        self._student.network.load_state_dict(self._state)
        self._student.network.eval()
