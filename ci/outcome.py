"""How things came out: of a step, of the tests, of the suite. And the tables and notes that say so."""

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from targets import say


@dataclass
class Cell:
    """How a step came out: "passed", "failed", or "skipped" with the reason as its note."""

    outcome: str
    note: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    # Each test or clause that was not run, and why.
    skips: list[str] = field(default_factory=list)
    seconds: int = 0
    # What died, and by what: then the counts are of a part, and are not said.
    died: str = ""

    def text(self) -> str:
        counted = self.died or ", ".join(f"{count} {what}" for what, count in self.counts.items() if count or what == "passed")
        words = {"passed": counted or "ok", "failed": f"FAILED {counted}".strip(), "skipped": "-"}
        return words[self.outcome]


# The cells of a row of a report, by step; and the rows, by name.
Row = Mapping[str, Cell]
Rows = Mapping[str, Row]


def skipped(reason: str) -> Cell:
    return Cell("skipped", reason)


class Failed(Exception):
    """A step failed, for this reason."""

    def __init__(self, reason: str, counts: dict[str, int] | None = None, died: str = "") -> None:
        super().__init__(reason)
        self.counts = counts or {}
        self.died = died

    def cell(self) -> Cell:
        return Cell("failed", str(self), self.counts, died=self.died)


def ending(code: int) -> str:
    """How a program ended: a shell says 128 and more of a signal, and Python less than 0."""
    signal = code - 128 if code > 128 else -code
    return f"signal {signal}" if signal > 0 else f"exit {code}"


# Tests


class Tests:
    """Counts what test programs say; what one does not say is not counted."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(("passed", "failed", "skipped"), 0)
        self.skips: list[str] = []
        self.failures: list[str] = []
        self.died: list[str] = []

    def add(self, program: str, output: str, code: int) -> None:
        result = re.search(r"^test result: .* (\d+) passed; (\d+) failed; (\d+) ignored; .* (\d+) filtered out", output, re.M)
        if not result or ending(code).startswith("signal"):
            self.failures.append(f"{program} ended with {ending(code)}: {last_lines(output)}")
            self.died.append(f"{program.removeprefix('unisend-')}: {ending(code)}")
            return
        passed, failed, ignored, filtered = map(int, result.groups())
        # A test that finds that it cannot run here says so, and passes.
        said = re.findall(r"^(?:test .* \.\.\. )?skipped: (.*)", output, re.M)
        self.skips += [f"{program}: {reason}" for reason in sorted(set(said))]
        for name, count in (("passed", passed - len(said)), ("failed", failed), ("skipped", ignored + filtered + len(said))):
            self.counts[name] += count
        if code:
            self.failures.append(f"{program}: {failed_tests(output)}")

    def cell(self) -> Cell:
        if not self.counts["passed"]:
            self.failures.append("no test ran")
        if self.failures:
            # The table has room for one. The notes below it have all.
            died = f"{self.died[0]}{f', +{others}' if (others := len(self.died) - 1) else ''}" if self.died else ""
            raise Failed("\n".join(self.failures), self.counts, died)
        return Cell("passed", counts=self.counts, skips=self.skips)


def failed_tests(output: str) -> str:
    """The tests that failed, each with how many of its cases did. All is in the log."""
    names = [name.split("::case_")[0] for name in re.findall(r"^test (\S+) .*FAILED$", output, re.M)]
    names = [re.sub(r"::\w+_\d+_.*", "", name) for name in names]
    return ", ".join(f"{name} ({names.count(name)})" for name in sorted(set(names))) or last_lines(output)


# The suite


def judge_suite(output: str, code: int, errors: str, emulated: bool) -> Cell:
    """What the suite's report says, if it is one."""
    try:
        report = json.loads(output)
    except ValueError:
        raise Failed(f"ended with {ending(code)}: {last_lines(output or errors)}", died=ending(code)) from None
    failures = [describe(case) for case in report["cases"] if verdict(case) == "fail"]
    if report["host"]["emulated"] != emulated:
        failures.append(f"the report says emulated: {report['host']['emulated']}")
    if failures or code:
        raise Failed("\n".join(failures) or f"ended with {ending(code)}", report["summary"])
    skips = [f"{case['id']}: {case['reason']}" for case in report["cases"] if verdict(case) == "skip"]
    return Cell("passed", counts=report["summary"], skips=skips)


def verdict(case: dict) -> str:
    verdicts = {side["verdict"] for side in (case["kernel"], case["portable"]) if side}
    return next((worst for worst in ("fail", "skip") if worst in verdicts), "pass")


def describe(case: dict) -> str:
    sides = {"kernel": case["kernel"], "unisend": case["portable"]}
    wrong = [
        f"{name} {side['observed']!r}, expected {side['expected']!r}"
        for name, side in sides.items()
        if side and side["verdict"] == "fail"
    ]
    return f"{case['id']}: {'; '.join(wrong)}"


# Reports


def markdown(kind: str, steps: tuple[str, ...], rows: Rows) -> list[str]:
    """The table, and below it what failed, what was not run, and why."""
    lines = [f"| {kind} | {' | '.join(steps)} |", f"|---|{'---|' * len(steps)}"]
    for name, cells in rows.items():
        lines.append(f"| {name} | {' | '.join(cells[step].text() for step in steps)} |")
    for title, notes in (
        ("Failed", notes_of(rows, "failed")),
        ("Not run", notes_of(rows, "skipped")),
        ("Notes", notes_of(rows, "passed")),
        ("Skipped", skips_of(rows, f"{kind}s")),
    ):
        if notes:
            lines += ["", f"{title}:", ""]
            lines += [f"- {', '.join(names)}: {note}" for note, names in notes.items()]
    return lines


def notes_of(rows: Rows, outcome: str) -> dict[str, list[str]]:
    """Each note, once, and the rows that it is about."""
    notes: dict[str, list[str]] = {}
    for name, cells in rows.items():
        for step, cell in cells.items():
            if cell.note and cell.outcome == outcome:
                note = cell.note.replace("\n", "\n  ")
                about = f"{step}: {note}" if outcome == "failed" else note
                if name not in notes.setdefault(about, []):
                    notes[about].append(name)
    return notes


def skips_of(rows: Rows, kinds: str) -> dict[str, list[str]]:
    by_skip: dict[str, list[str]] = {}
    for name, cells in rows.items():
        for skip in dict.fromkeys(skip for cell in cells.values() for skip in cell.skips):
            by_skip.setdefault(skip, []).append(name)
    # They are named by how many they are: all of them are in the JSON report.
    return {skip: [f"on {len(names)} {kinds}" if len(names) > 1 else names[0]] for skip, names in by_skip.items()}


def table(kind: str, steps: tuple[str, ...], rows: Rows) -> str:
    lines = [(kind, *steps), *((name, *(cells[step].text() for step in steps)) for name, cells in rows.items())]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


_said = threading.Lock()


def tell(text: str) -> None:
    """Says something, from any thread."""
    with _said:
        say(text)


def last_lines(text: str, count: int = 12) -> str:
    return "\n".join(text.strip().splitlines()[-count:])
