"""ci/mutants is trusted for this: a survivor without a row fails, and a row without a survivor fails, also if only a part was run."""

import importlib.machinery
import importlib.util
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from targets import ROOT  # noqa: E402

loader = importlib.machinery.SourceFileLoader("mutants", str(ROOT / "ci/mutants"))
mutants = importlib.util.module_from_spec(importlib.util.spec_from_loader("mutants", loader))
# Its data classes look themselves up there.
sys.modules["mutants"] = mutants
loader.exec_module(mutants)

FIRST = mutants.mutant("src/a.rs:1:2: replace && with || in f")
# The same change in another line: it needs a row of its own.
SECOND = mutants.mutant("src/a.rs:3:4: replace && with || in f")
OTHER = mutants.mutant("src/../platform/native/b.rs:5:6: replace g -> bool with true")
ALL = [FIRST, SECOND, OTHER]

ROW = "src/a.rs  replace && with || in f  both are false, or both are true"
OPEN = "platform/native/b.rs  *  not gone through"


def judged(rows: list[str], outcomes: dict) -> list[str]:
    return mutants.judge(mutants.read_rows("\n".join(rows)), ALL, outcomes)


class Names(unittest.TestCase):
    def test_a_name_has_no_line_and_no_detour(self):
        self.assertEqual(FIRST.key, ("src/a.rs", "replace && with || in f"))
        self.assertEqual(OTHER.key, ("platform/native/b.rs", "replace g -> bool with true"))

    def test_a_path_of_rust_is_not_taken_for_a_line(self):
        name = "src/a.rs:7:8: replace <impl fmt::Debug for A>::fmt -> fmt::Result with Ok(Default::default())"
        self.assertEqual(mutants.mutant(name).change, name.removeprefix("src/a.rs:7:8: "))

    def test_another_form_is_an_error(self):
        self.assertRaisesRegex(ValueError, "another form", mutants.mutant, "src/a.rs: replace f with ()")

    def test_a_row_without_a_reason_is_an_error(self):
        self.assertRaisesRegex(ValueError, "a reason", mutants.read_rows, "src/a.rs  replace f with ()")


class Judging(unittest.TestCase):
    CAUGHT = dict.fromkeys(ALL, "caught")

    def test_what_is_caught_or_not_built_or_hangs_needs_no_row(self):
        self.assertEqual(judged([], {FIRST: "caught", SECOND: "unviable", OTHER: "timeouts"}), [])

    def test_a_survivor_without_a_row_fails(self):
        self.assertEqual(judged([], self.CAUGHT | {OTHER: "survived"}), ["platform/native/b.rs: survived, and has no row: replace g -> bool with true"])

    def test_a_survivor_with_a_row_passes(self):
        self.assertEqual(judged(["# why", "", ROW], self.CAUGHT | {FIRST: "survived"}), [])

    def test_two_survivors_of_the_same_change_need_two_rows(self):
        both = self.CAUGHT | {FIRST: "survived", SECOND: "survived"}
        self.assertEqual(judged([ROW], both), ["src/a.rs: survived, and has no row: replace && with || in f"])
        self.assertEqual(judged([ROW, ROW], both), [])

    def test_a_row_of_what_is_caught_fails(self):
        self.assertEqual(judged([ROW], self.CAUGHT), ["src/a.rs: has a row, and is caught: replace && with || in f"])
        self.assertEqual(judged([ROW, ROW], self.CAUGHT | {FIRST: "survived"}), ["src/a.rs: has a row, and is caught: replace && with || in f"])

    def test_a_row_can_be_about_what_was_not_run(self):
        self.assertEqual(judged([ROW], {FIRST: "caught"}), [])
        self.assertEqual(judged([ROW, ROW], {FIRST: "survived"}), [])

    def test_a_row_of_what_does_not_exist_fails_even_if_nothing_of_its_file_was_run(self):
        gone = "src/a.rs  replace h with ()  nobody calls it"
        self.assertEqual(judged([gone], {OTHER: "caught"}), ["src/a.rs: has a row, and is not a mutant: replace h with ()"])

    def test_a_survivor_of_a_file_that_was_not_gone_through_is_said_and_does_not_fail(self):
        outcomes = self.CAUGHT | {OTHER: "survived"}
        self.assertEqual(judged([OPEN], outcomes), [])
        self.assertEqual(mutants.not_judged(mutants.read_rows(OPEN), outcomes), [OTHER])

    def test_that_a_file_was_not_gone_through_says_nothing_of_another(self):
        self.assertEqual(len(judged([OPEN], self.CAUGHT | {FIRST: "survived"})), 1)

    def test_a_file_that_was_not_gone_through_has_mutants(self):
        self.assertEqual(judged(["src/c.rs  *  not gone through"], self.CAUGHT), ["src/c.rs: has a row, and has no mutants"])


class Running(unittest.TestCase):
    def report(self, **summaries: str) -> dict:
        ran = [{"scenario": {"Mutant": {"name": globals()[name].name}}, "summary": summary} for name, summary in summaries.items()]
        return {"outcomes": [{"scenario": "Baseline", "summary": "Success"}, *ran]}

    def test_outcomes_are_read(self):
        report = self.report(FIRST="MissedMutant", SECOND="Timeout", OTHER="CaughtMutant")
        self.assertEqual(mutants.read_outcomes(report, ALL), {FIRST: "survived", SECOND: "timeouts", OTHER: "caught"})

    def test_one_that_was_not_run_ends_it(self):
        self.assertRaisesRegex(SystemExit, "2 mutants were not run, among them 'src/a.rs:3:4", mutants.read_outcomes, self.report(FIRST="CaughtMutant"), ALL)

    def test_one_that_was_not_asked_for_is_left_out(self):
        self.assertEqual(mutants.read_outcomes(self.report(FIRST="CaughtMutant", OTHER="MissedMutant"), [FIRST]), {FIRST: "caught"})

    def test_an_outcome_that_is_not_known_is_an_error(self):
        self.assertRaises(KeyError, mutants.read_outcomes, self.report(FIRST="Skipped"), [FIRST])

    def test_shards_are_all_of_it_and_have_nothing_in_common(self):
        shards = [mutants.part(ALL, (number, 2), []) for number in range(2)]
        self.assertEqual(sorted(sum(shards, [])), sorted(ALL))

    def test_a_file_is_chosen_by_the_name_that_the_rows_have(self):
        self.assertEqual(mutants.part(ALL, (0, 1), ["platform/*"]), [OTHER])


class Rows(unittest.TestCase):
    def test_the_rows_can_be_read(self):
        rows = mutants.read_rows(mutants.ROWS.read_text())
        for row in rows:
            self.assertTrue((ROOT / row.file).is_file(), row)


if __name__ == "__main__":
    unittest.main()
