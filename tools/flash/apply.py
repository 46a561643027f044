"""Carry out a plan, or take one back. Both may be stopped at any point and run again.

1. A step whose result is there is not done again; one that was begun keeps its first note.
2. Everything is checked once more before the first write: files of the kit can change between plan and apply only by
   somebody who writes to the stick, so `read_kit` and `make_plan` run in the same call.
"""

from __future__ import annotations

from collections.abc import Callable

from tools.flash.journal import Journal
from tools.flash.plan import Plan
from tools.flash.root import Refusal, Root
from tools.flash.steps import Step

Report = Callable[[str, str], None]
"""Called with `done` or `there`, and the step's line."""


def apply(plan: Plan, root: Root, report: Report) -> int:
    """Take every step; the number of those that changed something. Raises Unavailable, and goes on when run again."""
    journal = Journal(root)
    changed = 0
    header = {"kit": plan.manifest.digest, "serial": plan.serial, "device": plan.device, "plan": plan.digest}
    last = [row for row in journal.rows() if "serial" in row][-1:]
    if last != [header]:
        journal.add(header)
    notes = journal.notes()
    for step in plan.steps:
        if step.check(root):
            report("there", step.line)
            continue
        if step.name not in notes:
            journal.add({"begin": step.name, "note": step.before(root)})
        step.do(root)
        if not step.check(root):
            raise Refusal(
                step.name, f"{step.line}: the result is not there after the step; is another program writing?"
            )
        journal.add({"done": step.name})
        report("done", step.line)
        changed += 1
    return changed


def undo(plan: Plan, root: Root, report: Report) -> int:
    """Take back every step that was begun, last first; the number of steps."""
    journal = Journal(root)
    notes = journal.notes()
    steps: list[Step] = [step for step in reversed(plan.steps) if step.name in notes]
    taken: set[str] = set()
    for step in steps:
        if step.name not in taken:
            step.undo(root, notes[step.name])
            taken.add(step.name)
            report("undone", step.line)
    journal.forget()
    return len(taken)
