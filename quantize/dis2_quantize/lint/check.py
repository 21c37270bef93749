"""Apply the rules to a file."""

from __future__ import annotations

import onnx

from dis2_boards.profile import Board
from dis2_quantize.lint.finding import Finding
from dis2_quantize.lint.subject import Subject
from dis2_quantize.lint.table import BOTH, RULES


def check(model: onnx.ModelProto, board: Board) -> list[Finding]:
    """What the rules find in `model` for `board`: errors first, in the order of the table; the wrong dialect first.

    In a file of the other dialect only the rules of both dialects are applied: the others would say one thing often.
    """
    subject = Subject(model, board)
    foreign = subject.dialect[0] not in (None, board.dialect)
    rules = [rule for rule in RULES if (rule.dialects == BOTH if foreign else board.dialect in rule.dialects)]
    found = [
        Finding(rule.name, rule.severity, fault.node, fault.found, rule.mend)
        for rule in rules
        for fault in rule.find(subject)
    ]
    return sorted(found, key=lambda finding: finding.severity != "error")
