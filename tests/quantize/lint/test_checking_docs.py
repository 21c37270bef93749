"""docs/checking.md lists exactly the rules of the code."""

import re
from pathlib import Path

from dis2_quantize.lint.table import RULES

PAGE = Path(__file__).parents[3] / "docs" / "checking.md"


def test_the_page_lists_the_rules_of_the_code():
    rows = re.findall(
        r"^\| `([\w-]+)` \| (\w+) \| ([\w, ]+) \| (.+) \| (.+) \|$", PAGE.read_text("utf-8"), re.MULTILINE
    )
    assert rows == [(r.name, r.severity, ", ".join(r.dialects), r.looks_at, r.mend) for r in RULES]
