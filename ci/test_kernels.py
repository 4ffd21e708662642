"""ci/kernels is trusted for this: what fails in a machine fails the run, whoever it fails for; a machine that hangs is ended,
and its console is kept; what does not come back whole is a failure; a program that died is named; a run of a part does not
replace what is known of a run of all."""

import base64
import gzip
import importlib.machinery
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))

import machine  # noqa: E402
import outcome  # noqa: E402
from machine import BY_KERNEL, Asked  # noqa: E402
from targets import CACHE, ROOT  # noqa: E402

loader = importlib.machinery.SourceFileLoader("kernels", str(ROOT / "ci/kernels"))
kernels = importlib.util.module_from_spec(importlib.util.spec_from_loader("kernels", loader))
loader.exec_module(kernels)

KERNEL = BY_KERNEL["5.10-x86_64"]

RESULT = "test result: {} 1 passed; {} failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s"
PASSES = f"echo '{RESULT.format('ok.', 0)}'"
FAILS = f"echo 'test it_works ... FAILED'; echo '{RESULT.format('FAILED.', 1)}'; exit 101"
REPORTS = """echo '{"host": {"release": "5.10.0-1-amd64", "emulated": false, "page_size": 4096}, "summary": {"passed": 1}, "cases": []}'"""


class Machine(unittest.TestCase):
    """Each is a boot of a kernel with shell scripts for test programs."""

    def boot(self, suite: str, asked: Asked = Asked(seconds=300), **tests: str) -> dict:
        directory = Path(tempfile.mkdtemp(prefix="kernels-", dir=CACHE))
        self.addCleanup(subprocess.run, ["rm", "-r", directory])
        self.run_directory = directory / "run"
        scripts = {"unisend-conformance": suite} | {f"tests/unisend-{name}": text for name, text in tests.items()}
        for folder in ("tests", "examples"):
            (directory / "programs" / folder).mkdir(parents=True)
        for name, text in scripts.items():
            program = directory / "programs" / name
            program.write_text(f"#!/bin/sh\n{text}\n")
            program.chmod(0o755)
        return kernels.examine(KERNEL, directory / "programs", self.run_directory, asked)

    def outcomes(self, cells: dict) -> dict[str, str]:
        return {step: cell.outcome for step, cell in cells.items()}

    def test_both_users_are_run_and_what_they_left_comes_back(self):
        looks = "[ -c /dev/null ] && [ -e /proc/self/exe ] && ip -6 address show dev lo | grep -q ::1 && touch /tmp/$(id -un) && strace -V >/dev/null"
        cells = self.boot(REPORTS, looks=f"id -un; {looks} || exit 1; {PASSES}", other=PASSES)
        self.assertEqual(set(self.outcomes(cells).values()), {"passed"}, cells)
        self.assertEqual(cells["tests as user"].counts["passed"], 2)
        for user in machine.USERS:
            self.assertTrue((self.run_directory / user / "unisend-looks.log").read_text().startswith(f"{user}\n"))
        self.assertIn("5.10.", (self.run_directory / "console.log").read_text())

    def test_the_suite_can_be_run_alone(self):
        cells = self.boot(REPORTS, Asked(suite=True), picky=FAILS)
        self.assertEqual(self.outcomes(cells), dict.fromkeys(("machine", "conformance as root", "conformance as user"), "passed"))

    def test_test_programs_can_be_run_alone_and_one_that_dies_is_named(self):
        asked = Asked(["user"], tests=["unisend-dies", "unisend-passes"])
        cells = self.boot(REPORTS, asked, dies="kill -FPE $$", passes=PASSES, picky=FAILS)
        self.assertEqual({step: cell.text() for step, cell in cells.items() if step != "machine"}, {"tests as user": "FAILED dies: signal 8"})
        self.assertEqual(cells["tests as user"].counts["passed"], 1)

    def test_what_fails_for_one_user_fails_and_is_named(self):
        cells = self.boot(REPORTS, picky=f"if [ $(id -u) = 0 ]; then {PASSES}; else {FAILS}; fi")
        failed = [step for step, outcome in self.outcomes(cells).items() if outcome == "failed"]
        self.assertEqual(failed, ["tests as user"])
        self.assertIn("unisend-picky: it_works", cells["tests as user"].note)

    def test_a_suite_that_fails_or_says_nothing_fails(self):
        fail = REPORTS.replace("[]", '[{"id": "S1", "kernel": {"verdict": "fail", "observed": "a", "expected": "b"}, "portable": null}]')
        cells = self.boot(f"if [ $(id -u) = 0 ]; then {fail}; exit 1; fi", passes=PASSES)
        self.assertEqual(self.outcomes(cells)["tests as root"], "passed")
        self.assertIn("S1: kernel 'a', expected 'b'", cells["conformance as root"].note)
        self.assertEqual(self.outcomes(cells)["conformance as user"], "failed")

    def test_a_kernel_with_other_pages_than_it_is_named_for_fails(self):
        with self.assertRaisesRegex(kernels.Failed, "its pages have 4096 bytes, not 16 KiB"):
            report = {"host": {"emulated": False, "page_size": 4096}, "summary": {"passed": 1}, "cases": []}
            kernels.judge_suite(BY_KERNEL["newest-aarch64-16k"], {"conformance.json": json.dumps(report)}, {kernels.SUITE: 0})

    def test_a_machine_that_hangs_is_ended_and_its_console_kept(self):
        cells = self.boot(REPORTS, Asked(seconds=40), passes=PASSES, sleeps="sleep 10000")
        self.assertEqual(cells["machine"].outcome, "failed")
        self.assertIn("ended after 40 s", cells["machine"].note)
        self.assertIn("unisend-passes: test result: ok", (self.run_directory / "console.log").read_text())

    def test_a_machine_that_ends_early_fails(self):
        cells = self.boot(REPORTS, ends="poweroff -f")
        self.assertEqual(cells["machine"].outcome, "failed")
        self.assertIn("no results came back", cells["machine"].note)


class Began(unittest.TestCase):
    def test_a_kernel_that_panics_has_not_begun(self):
        oops = "[    0.0] Linux version 6.12.1-amd64 (gcc)\n[    6.5] Kernel panic - not syncing: Fatal exception in interrupt\n"
        self.assertFalse(machine.Run(oops).began)
        self.assertTrue(machine.Run(f"{oops}Linux 6.12.1-amd64 x86_64\nas root:\n").began)


class Results(unittest.TestCase):
    def console(self, packed: bytes) -> str:
        return f"Linux\n-----BEGIN RESULTS-----\n{base64.encodebytes(packed).decode()}-----END RESULTS-----\n"

    def test_what_is_not_whole_is_an_error(self):
        packed = gzip.compress(bytes(range(256)) * 100)
        for wrong in (packed[:-1], packed[:100], packed[:50] + b"x" + packed[51:]):
            with self.assertRaisesRegex(ValueError, "not whole"):
                machine.results(self.console(wrong))
        with self.assertRaisesRegex(ValueError, "not whole"):
            machine.results(self.console(packed).replace("\n-----END", "\n[  1.0] a message of the kernel\n-----END"))
        with self.assertRaisesRegex(ValueError, "no results"):
            machine.results(self.console(packed).replace("-----END", "-----"))


class RunHere(unittest.TestCase):
    """A machine that is on its own is told as little."""

    def run_here(self, *arguments: str) -> subprocess.CompletedProcess:
        directory = Path(tempfile.mkdtemp(prefix="run-here-"))
        self.addCleanup(subprocess.run, ["rm", "-r", directory])
        for name, text in (("unisend-conformance", "echo '{}'"), ("tests/one", PASSES), ("tests/two", PASSES), ("examples/any", "")):
            (directory / name).parent.mkdir(exist_ok=True)
            (directory / name).write_text(f"#!/bin/sh\n{text}\n")
            (directory / name).chmod(0o755)
        (directory / "results").mkdir()
        shutil.copy2(ROOT / "ci/run-here", directory)
        done = subprocess.run([directory / "run-here", *arguments], capture_output=True, text=True)
        outcomes = directory / "results/outcomes"
        self.ran = [line.split()[0] for line in outcomes.read_text().splitlines()] if outcomes.exists() else []
        return done

    def test_it_runs_what_it_is_asked_for(self):
        for arguments, ran in (
            ([], ["one", "two", "unisend-conformance"]),
            (["--suite"], ["unisend-conformance"]),
            (["--test", "two"], ["two"]),
            (["--test", "two", "--suite"], ["two", "unisend-conformance"]),
        ):
            done = self.run_here(*arguments, "results")
            self.assertEqual((done.returncode, self.ran), (0, ran), done.stderr)

    def test_it_refuses_what_it_does_not_know_and_runs_nothing(self):
        for arguments, said in (
            (["results", "--suite"], "'--suite' comes after the directory 'results'"),
            (["--suit", "results"], "'--suit' is unknown"),
            (["--test", "three", "results"], "there is no test program 'three' in tests/"),
            (["--test"], "there is no test program '' in tests/"),
        ):
            done = self.run_here(*arguments)
            self.assertEqual((done.returncode, self.ran), (2, []), done.stdout)
            self.assertIn(said, done.stderr)


class Died(unittest.TestCase):
    """What the table says of test programs that died."""

    def cell(self, **codes: int) -> outcome.Cell:
        tests = outcome.Tests()
        tests.add("unisend-passes", RESULT.format("ok.", 0), 0)
        for name, code in codes.items():
            tests.add(f"unisend-{name}", "running 9 tests", code)
        try:
            return tests.cell()
        except outcome.Failed as failed:
            return failed.cell()

    def test_it_names_a_program_and_by_what_it_died(self):
        for codes, said in (
            ({"leaks": 136}, "FAILED leaks: signal 8"),
            ({"leaks": -8}, "FAILED leaks: signal 8"),
            ({"leaks": 1}, "FAILED leaks: exit 1"),
            ({"leaks": 136, "messages": 136, "sizes": 139, "unit-lib": 1}, "FAILED leaks: signal 8, +3"),
        ):
            cell = self.cell(**codes)
            self.assertEqual(cell.text(), said)
            for name in codes:
                self.assertIn(f"unisend-{name} ended with", cell.note)

    def test_one_that_dies_after_its_tests_died(self):
        tests = outcome.Tests()
        tests.add("unisend-leaks", RESULT.format("ok.", 0), 139)
        self.assertEqual(tests.died, ["leaks: signal 11"])

    def test_the_row_of_a_user_has_80_columns(self):
        asked = Asked(["user"])
        cells = {
            "machine": outcome.Cell("passed", counts={"s": 1021}),
            "tests as user": self.cell(leaks=136, messages=136, sizes=136),
            "conformance as user": outcome.Cell("passed", counts={"passed": 169}),
        }
        table = outcome.table("kernel", asked.steps, {"newest-powerpc64le-64k": cells})
        self.assertLessEqual(max(map(len, table.splitlines())), 80, table)


class Parts(unittest.TestCase):
    """A run of a part is kept beside the last run of all."""

    def directory_of(self, *arguments: str) -> Path:
        ran = []

        def examine(kernel, programs, directory, asked):
            ran.append(directory)
            return dict.fromkeys(asked.steps, outcome.skipped("not in this test"))

        called = mock.patch.object(sys, "argv", ["kernels", *arguments, KERNEL.name])
        built = mock.patch.object(kernels.subprocess, "run", return_value=subprocess.CompletedProcess([], 0))
        known = mock.patch.object(kernels, "tests_of", return_value=["unisend-sizes"])
        free = mock.patch.object(kernels.fcntl, "flock")
        with called, built, known, free, mock.patch.object(kernels, "examine", examine), mock.patch.object(kernels, "say"):
            kernels.main()
        return ran[0]

    def test_less_than_all_is_a_part(self):
        both = ["--user", "user", "--user", "root"]
        for arguments in ([], both):
            self.assertEqual(self.directory_of(*arguments), KERNEL.last_run)
        for arguments in (["--suite"], ["--user", "user"], ["--test", "unisend-sizes"], ["--suite", "--test", "unisend-sizes", *both]):
            self.assertNotEqual(self.directory_of(*arguments), KERNEL.last_run, arguments)

    def test_a_test_program_that_is_not_there_is_refused(self):
        with self.assertRaises(SystemExit), mock.patch.object(sys, "stderr") as said:
            self.directory_of("--test", "unisend-size")
        self.assertIn("no test program unisend-size: they are unisend-sizes", "".join(call.args[0] for call in said.write.call_args_list))


class Table(unittest.TestCase):
    def test_the_newest_package_is_of_the_right_kind(self):
        for name, right, wrong in (
            ("5.10-x86_64", "linux-image-5.10.0-32-amd64-unsigned", "linux-image-5.10.0-32-rt-amd64-unsigned"),
            ("6.12-x86_64", "linux-image-6.12.117+deb13-amd64-unsigned", "linux-image-6.1.0-50-amd64-unsigned"),
            ("newest-aarch64", "linux-binary-unsigned-7.2.13+deb14-arm64", "linux-binary-unsigned-7.2.13+deb14-arm64-16k"),
            ("newest-s390x", "linux-binary-7.2.13+deb14-s390x", "linux-image-7.2.13+deb14-s390x-dbg"),
        ):
            self.assertRegex(right, f"^{BY_KERNEL[name].package}$")
            self.assertNotRegex(wrong, f"^{BY_KERNEL[name].package}$")

    def test_a_report_is_recorded_under_its_release(self):
        report = {"host": {"release": "7.2.13+deb14-arm64-16k"}}
        self.assertEqual(kernels.recorded_as(BY_KERNEL["newest-aarch64-16k"], report), "linux-7.2-aarch64-16k.json")

    def test_a_wrong_call_says_how(self):
        done = subprocess.run([ROOT / "ci/kernels", "2.4-vax"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("unknown: 2.4-vax; see --list", done.stderr)
        done = subprocess.run([ROOT / "ci/kernels", "--list"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0)
        self.assertIn("5.10-x86_64", done.stdout)


if __name__ == "__main__":
    unittest.main()
