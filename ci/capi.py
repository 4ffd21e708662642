"""The C library, libunisend, for a target: its C tests, as a program among the others, and its header beside what Rust says."""

import re
import subprocess
from pathlib import Path

import targets
from targets import CACHE, ROOT, Target

FOLDER = ROOT / "capi"
HEADER = FOLDER / "include/unisend.h"
# What Rust's standard library needs of C. The last has the unwinder, which zig has under this name.
LIBRARIES = ["-lpthread", "-lm", "-lunwind"]


class Wrong(Exception):
    """Something in C is not as it is in Rust, or cannot be compiled."""


def compile_c(target: Target, *arguments: object) -> None:
    command = [targets.zig_wrapper(target), "-std=gnu11", "-Wall", "-Wextra", "-Werror", f"-I{HEADER.parent}", *arguments]
    done = subprocess.run([str(word) for word in command], env=targets.zig_environment(), capture_output=True, text=True)
    if done.returncode:
        raise Wrong(done.stderr.strip()[-4000:])


def build_tests(target: Target, library: Path, program: Path) -> None:
    """The C tests, linked with the static library that cargo has made."""
    program.parent.mkdir(parents=True, exist_ok=True)
    compile_c(target, "-o", program, FOLDER / "tests/suite.c", library, *LIBRARIES)


# The ABI

MARK = b"the ABI of libunisend, in rows: "
EXPRESSION, ROW = 248, 256


def table(program: Path) -> list[tuple[str, int]]:
    """The rows that capi/tests/abi.rs has: an expression of C, and its value in Rust. The program need not run here."""
    contents = program.read_bytes()
    at = contents.index(MARK) + len(MARK)
    rows = []
    while expression := contents[at : at + EXPRESSION].rstrip(b"\0"):
        rows.append((expression.decode(), int.from_bytes(contents[at + EXPRESSION : at + ROW], "little", signed=True)))
        at += ROW
    return rows


def names_of_header() -> set[str]:
    """The functions, structures and numbers that the header has."""
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S)
    return set(re.findall(r"\b(?:us_\w+|US_\w+)\b", text))


def compare(target: Target, program: Path) -> int:
    """How many rows were compared; raises Wrong if C has another value, or if the header has a name that is in no row."""
    rows = table(program)
    expressions = " ".join(expression for expression, _ in rows)
    if missing := names_of_header() - set(re.findall(r"\w+", expressions)):
        raise Wrong(f"capi/tests/abi.rs has no row for {', '.join(sorted(missing))}")
    source = CACHE / "capi" / f"{target.name}.c"
    source.parent.mkdir(parents=True, exist_ok=True)
    lines = [f'_Static_assert((long long)({expression}) == {value}LL, "{expression} is {value} in Rust");' for expression, value in rows]
    source.write_text("#include <unisend.h>\n" + "\n".join(lines) + "\n")
    compile_c(target, "-ferror-limit=0", "-c", "-o", source.with_suffix(".o"), source)
    return len(rows)
