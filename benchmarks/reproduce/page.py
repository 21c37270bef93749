"""The page: tables, verdicts and figures of every data set, made from the records and put between markers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.reproduce import front, records
from benchmarks.reproduce.bars import Groups, verdicts
from benchmarks.reproduce.cells import costs, interval, markdown, percent
from benchmarks.reproduce.estimate import duration
from benchmarks.reproduce.figure import contributions, draw
from benchmarks.reproduce.lines import groups_of, held_against, ours_of
from benchmarks.reproduce.making import command
from benchmarks.reproduce.parts import by_part, scored
from benchmarks.reproduce.places import Places
from benchmarks.reproduce.plan import DataPlan, Plan
from benchmarks.reproduce.records import Record
from benchmarks.reproduce.versus import section
from dis2_edge.errors import DataError
from dis2_edge.files import write_text
from dis2_train.judging.comparison import Comparison, compare

BEGIN = "<!-- made by `python -m benchmarks.reproduce table`: change the plan or the records, not these lines -->"
END = "<!-- end of what is made -->"
KINDS = ("full", "single", "mean")


def write_page(plan: Plan, places: Places) -> list[str]:
    """Put today's tables into the page and the README, and write the figures beside the records; tells the files."""
    text = places.page.read_text("utf-8") if places.page.is_file() else f"{BEGIN}\n{END}\n"
    written = [str(places.page)]
    found = records.finished(places, plan.runs())
    for name, picture in figures(plan, found).items():
        write_text(places.records / name, picture)
        written.append(str(places.records / name))
    write_text(places.page, filled(text, tables(plan, found)))
    if places.readme.is_file() and any(row.front for row in plan.row):
        text = places.readme.read_text("utf-8")
        write_text(places.readme, filled(text, front.table(plan, found), front.BEGIN, front.END))
        written.append(str(places.readme))
    return written


def filled(text: str, made: str, begin: str = BEGIN, end: str = END) -> str:
    """`text` with `made` between its markers; DataError where it lacks them."""
    before, begun, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not begun or not ended:
        raise DataError("the page has lost its markers", expected=f"{begin} and {end}")
    return f"{before}{begin}\n\n{made.strip()}\n\n{end}{after}"


def tables(plan: Plan, found: Mapping[str, Record]) -> str:
    """Everything between the markers, as Markdown."""
    parts = section(plan, found)
    for name, data in plan.data.items():
        parts += [f"## {data.title}", _state(plan, name, found)]
        parts += [data.note] if data.note else []
        for split in dict.fromkeys([data.split, data.final]):
            groups = groups_of(plan, name, found, split) if split else {}
            if groups:
                parts += _section(plan, name, data, split, groups)
        parts += [
            f"![What each sensor gives, class by class](reproduce/{file})" for file in _figure_of(plan, name, found)
        ]
        parts += _lessons(plan, name, found)
        parts += [_made_on(name, found)] if any(_of(name, run) for run in found) else []
    return "\n\n".join(parts)


def figures(plan: Plan, found: Mapping[str, Record]) -> dict[str, str]:
    """File name -> SVG of each sensor's contribution by class, for data of more than two classes."""
    drawn = {}
    for name, data in plan.data.items():
        for file in _figure_of(plan, name, found):
            ours = ours_of(plan, name)["dis2"]
            split = data.final if data.final and groups_of(plan, name, found, data.final).get(ours) else data.split
            runs = groups_of(plan, name, found, split)[ours]
            drawn[file] = draw(contributions(runs, data.sensors), f"{data.title}, {split}: {ours}")
    return drawn


def _section(plan: Plan, name: str, data: DataPlan, split: str, groups: Groups) -> list[str]:
    ours = [line for line in ours_of(plan, name).values() if line in groups]
    compared = compare(groups, ours[0] if ours else None)
    measure, told = (f"iou {data.bar}", f"IoU of *{data.bar}*") if data.bar else ("miou", "mIoU")
    lines = [f"### Split `{split}`, {compared.images} images"]
    lines += verdicts(plan, name, groups, measure, told)
    lines += [f"{told}, per cent, mean over seeds:", _wide(compared, measure)]
    lines += _differences(plan, name, groups, compared, measure, told)
    lines += [f"{told}, per cent, seed by seed:", _by_seed(compared, groups, measure)]
    lines += by_part(groups, data.sensors, data.parts, measure, told)
    lines += ["mIoU / mean F1 / OA, per cent:", _others(compared, ("miou", "mean_f1", "oa"))]
    classes = tuple(f"iou {name}" for name in compared.classes)
    return [*lines, f"IoU of {' / '.join(compared.classes)}, per cent:", _others(compared, classes)]


def _wide(compared: Comparison, measure: str) -> str:
    """One line a row: the measure under every condition; seeds; worst class and costs of the full scenario."""
    names = [condition.name for condition in compared.conditions]
    full = compared.conditions[0].name
    shown = [name.replace(f"{full}~", "noise ") for name in names]
    head = ["network", "seeds", *shown, "worst class", "parameters, M", "GFLOP"]
    rows = []
    for row in compared.rows:
        cells = [percent(row.scores.get(name, {}).get(measure)) for name in names]
        worst = percent(row.scores.get(full, {}).get("worst_iou"))
        rows.append([row.name, str(len(set(row.seeds))), *cells, worst, *costs(row)])
    return markdown(head, rows)


def _differences(plan: Plan, name: str, groups: Groups, compared: Comparison, measure: str, told: str) -> list[str]:
    """For each of our networks a table of the other lines less it; what is taken from one of them stands in its own."""
    names = [condition.name for condition in compared.conditions if condition.kind in KINDS]
    lines = []
    for family, ours in ours_of(plan, name).items():
        held = held_against(plan, name, family)
        beside = {line: runs for line, runs in groups.items() if line in held}
        if ours not in beside or len(beside) < 2:
            continue
        found = compared if compared.reference == ours else compare(beside, ours)
        rows = [
            [row.name, *(interval(row.differences.get(name, {}).get(measure)) for name in names)]
            for row in found.rows
            if row.name in held and row.name != ours
        ]
        lines += [f"{told}, difference to *{ours}* in points, 95 % interval (−: {ours} is ahead):"]
        lines += [markdown(["network", *names], rows)]
    return lines


def _by_seed(compared: Comparison, groups: Groups, measure: str) -> str:
    """One line a row: the measure of each of its runs, in the order of seeds."""
    names = [condition.name for condition in compared.conditions if condition.kind in ("full", "single")]
    rows = []
    for group, runs in groups.items():
        found = [[scored(run, name, measure) for run in runs if name in run.counts] for name in names]
        rows.append([group, *(", ".join(f"{100 * value:.1f}" for value in values) or "–" for values in found)])
    return markdown(["network", *names], rows)


def _others(compared: Comparison, wanted: Sequence[str]) -> str:
    names = [condition.name for condition in compared.conditions if condition.kind in KINDS]
    rows = []
    for row in compared.rows:
        tables = [row.scores.get(name, {}) for name in names]
        cells = [" / ".join(percent(table.get(key)) for key in wanted) if table else "–" for table in tables]
        rows.append([row.name, *cells])
    return markdown(["network", *names], rows)


def _state(plan: Plan, data: str, found: Mapping[str, Record]) -> str:
    wanted = [run for run in plan.runs() if run.row.data == data]
    done = [run for run in wanted if run.name in found]
    if not done:
        return f"None of the {len(wanted)} runs of this data set is finished."
    return f"{len(done)} of {len(wanted)} runs are finished; {len(plan.seeds)} seeds of each row are planned."


def _made_on(data: str, found: Mapping[str, Record]) -> str:
    origins = [record.origin for name, record in found.items() if _of(data, name)]
    places = sorted({origin.trained_on or "a machine that nobody noted" for origin in origins})
    spent = duration(sum(origin.seconds for origin in origins))
    threads = sorted({origin.threads for origin in origins})
    versions = ", ".join(sorted({origin.torch for origin in origins}))
    return (
        f"Trained on {' and '.join(places)}, threads a run: {' or '.join(map(str, threads))}, torch {versions}; "
        f"{spent} of training in all. Each record in `docs/reproduce/{data}/` holds the command of its run."
    )


def _lessons(plan: Plan, data: str, found: Mapping[str, Record]) -> list[str]:
    """How a network that has a teacher was made, by its first finished run; nothing where none is finished."""
    for run in (run for run in plan.runs() if run.row.data == data and run.name in found):
        if teacher := plan.teacher_of(run):
            by = found[teacher.name].origin.command if teacher.name in found else command(plan, teacher, 1)
            told = (
                f"*{run.row.group}* and what is taken from it have the run of *{teacher.row.group}* "
                f"`{teacher.row.name}` of the same seed for a teacher; its steps are counted there. Seed {run.seed}:"
            )
            return [told, f"    {by}\n    {found[run.name].origin.command}"]
    return []


def _figure_of(plan: Plan, name: str, found: Mapping[str, Record]) -> list[str]:
    """The figure's file where there is something to draw: several classes, and a finished run of DIS2."""
    line = ours_of(plan, name).get("dis2")
    ours = {run.name for run in plan.runs() if run.row.data == name and run.row.group == line}
    fitting = [
        evaluation
        for run in ours & set(found)
        for evaluation in found[run].evaluations.values()
        if len(evaluation.classes) > 2
    ]
    return [f"{name}-classes.svg"] if fitting else []


def _of(data: str, run: str) -> bool:
    return run.startswith(f"{data}/")
