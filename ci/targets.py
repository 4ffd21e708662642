"""The targets, as data: each is a row, and nothing else in ci/ knows one by name."""

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
PYTHON = CACHE / "python" / "bin" / "python"

# The OpenBSD release that the executables are for, and its libraries' versions. zig links against libraries
# without a version; OpenBSD's run-time linker wants the exact one, which changes with each release.
OPENBSD_RELEASE = "7.9"
OPENBSD_LIBRARIES = {"libc.so": "libc.so.103.0", "libm.so": "libm.so.10.1", "libpthread.so": "libpthread.so.28.1"}


@dataclass(frozen=True)
class Target:
    """`machine` is uname's word for what can run it; `emulator` is what else can."""

    name: str
    zig: str
    machine: str
    emulator: tuple[str, ...] = ()
    rustflags: str = ""
    # The processor, where zig would compile its parts for a newer one than Rust does.
    cpu: str = ""
    # It is compiled, but not linked, for this reason.
    unlinked: str = ""

    @property
    def system(self) -> str:
        return "openbsd" if self.name.endswith("-openbsd") else "linux"

    @property
    def zig_target(self) -> str:
        """Of OpenBSD it knows several releases."""
        return f"{self.zig}.{OPENBSD_RELEASE}" if self.system == "openbsd" else self.zig

    @property
    def arch(self) -> str:
        """Rust's `target_arch`."""
        word = self.name.split("-")[0]
        return {"i686": "x86", "armv7": "arm", "riscv64gc": "riscv64", "powerpc64le": "powerpc64"}.get(word, word)

    @property
    def is_host(self) -> bool:
        return self.name == f"{platform.machine()}-unknown-linux-gnu"

    @property
    def is_native(self) -> bool:
        here = {"x86_64": {"x86_64", "i686"}}.get(platform.machine(), {platform.machine()})
        return self.system == "linux" and self.machine in here

    @property
    def is_emulated(self) -> bool:
        return self.system == "linux" and not self.is_native

    @property
    def runs(self) -> bool:
        return self.system == "linux"

    @property
    def directory(self) -> Path:
        """What was made for it: programs/, logs/ and the suite's report."""
        return CACHE / "matrix" / self.name

    @property
    def programs(self) -> Path:
        """All that runs on such a machine: it can be shipped there as it is."""
        return self.directory / "programs"

    @property
    def c_tests(self) -> Path:
        """The tests of the C library that are in C."""
        return self.programs / "tests/unisend-capi-c"

    @property
    def suite_program(self) -> Path:
        """Where cargo leaves the suite's program, which is where its test looks for it."""
        return CACHE / "target" / self.name / "debug" / "unisend-conformance"


def qemu(machine: str, libraries: str = "", cpu: str = "") -> tuple[str, ...]:
    return (f"qemu-{machine}-static", *(("-cpu", cpu) if cpu else ()), *(("-L", f"/usr/{libraries}") if libraries else ()))


# musl's own start files, which Rust has, and zig's are one too many.
MUSL = "-Clink-self-contained=no"

TARGETS = [
    Target("x86_64-unknown-linux-gnu", "x86_64-linux-gnu.2.31", "x86_64", qemu("x86_64", "x86_64-linux-gnu")),
    Target("x86_64-unknown-linux-musl", "x86_64-linux-musl", "x86_64", qemu("x86_64"), MUSL),
    Target("aarch64-unknown-linux-gnu", "aarch64-linux-gnu.2.31", "aarch64", qemu("aarch64", "aarch64-linux-gnu")),
    Target("aarch64-unknown-linux-musl", "aarch64-linux-musl", "aarch64", qemu("aarch64"), MUSL),
    Target("i686-unknown-linux-gnu", "x86-linux-gnu.2.31", "i686", qemu("i386", "i686-linux-gnu")),
    Target("armv7-unknown-linux-gnueabihf", "arm-linux-gnueabihf.2.31", "armv7l", qemu("arm", "arm-linux-gnueabihf")),
    Target("riscv64gc-unknown-linux-gnu", "riscv64-linux-gnu.2.31", "riscv64", qemu("riscv64", "riscv64-linux-gnu")),
    # zig compiles its unwinder for a z13, which has vectors. Rust compiles for a z10, which has none: so it is run without.
    Target("s390x-unknown-linux-gnu", "s390x-linux-gnu.2.31", "s390x", qemu("s390x", "s390x-linux-gnu", "max,vx=off,vxeh=off"), cpu="z10"),
    # zig's unwinder for it needs what glibc has since 2.32.
    Target("powerpc64le-unknown-linux-gnu", "powerpc64le-linux-gnu.2.32", "ppc64le", qemu("ppc64le", "powerpc64le-linux-gnu")),
    Target("x86_64-unknown-openbsd", "x86_64-openbsd", "amd64"),
    Target("aarch64-unknown-openbsd", "aarch64-openbsd", "arm64"),
    Target("riscv64gc-unknown-openbsd", "riscv64-openbsd", "riscv64"),
    Target("i686-unknown-openbsd", "x86-openbsd", "i386"),
    Target("sparc64-unknown-openbsd", "sparc64-openbsd", "sparc64", unlinked="zig has no unwinder for it"),
    Target("powerpc64-unknown-openbsd", "powerpc64-openbsd", "powerpc64"),
]

BY_NAME = {target.name: target for target in TARGETS}


def package_of(program: Path) -> Path:
    """The folder that a test program works in: the suite's own for its tests, as under cargo. No other test needs one."""
    return ROOT / "tests/conformance" if program.name.startswith("unisend-conformance-") else ROOT


def zig_wrapper(target: Target) -> Path:
    """zig as this target's C compiler and linker. Rust's own words for the target are not zig's."""
    # cargo links anew only if its linker has another name.
    name, options = target.zig_target, f"-target {target.zig_target}"
    if target.cpu:
        name, options = f"{name}-{target.cpu}", f"{options} -mcpu={target.cpu}"
    wrapper = CACHE / "zig-cc" / name
    wrapper.parent.mkdir(parents=True, exist_ok=True)
    text = f"""#!/bin/sh
for argument do
    shift
    case $argument in --target=*|-m32|-m64) ;; *) set -- "$@" "$argument" ;; esac
done
exec '{PYTHON}' -m ziglang cc {options} "$@"
"""
    if not wrapper.exists() or wrapper.read_text() != text:
        wrapper.write_text(text)
        wrapper.chmod(0o755)
    return wrapper


def zig_environment() -> dict[str, str]:
    return {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(CACHE / "zig"), "ZIG_LOCAL_CACHE_DIR": str(CACHE / "zig")}


def cargo_environment(target: Target) -> dict[str, str]:
    """The compiler is the one that has its standard library's source beside it: Debian's if it is there, else
    the one on the PATH, with its component rust-src."""
    prefix = "CARGO_TARGET_" + target.name.upper().replace("-", "_")
    environment = zig_environment() | {
        "RUSTC_BOOTSTRAP": "1",
        "CARGO_INCREMENTAL": "0",
        # No debugging information: a third of the disk and of the time. A panic says where it was all the same.
        "CARGO_PROFILE_DEV_DEBUG": "0",
        f"{prefix}_RUSTFLAGS": target.rustflags,
    }
    if not target.is_host:
        environment[f"{prefix}_LINKER"] = str(zig_wrapper(target))
    if DEBIAN_CARGO.exists():
        environment |= {"RUSTC": "/usr/bin/rustc", "RUSTDOC": "/usr/bin/rustdoc"}
    # Those of a caller that is cargo itself would be obeyed.
    for name in ("CARGO_BUILD_TARGET", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"):
        environment.pop(name, None)
    return environment


DEBIAN_CARGO = Path("/usr/bin/cargo")


def cargo(target: Target, command: str, *arguments: str, libraries: str = "std,panic_unwind,test") -> list[str]:
    """A call of cargo for a target; the standard library is compiled once for each, and shared."""
    program = str(DEBIAN_CARGO) if DEBIAN_CARGO.exists() else "cargo"
    build_std = [] if target.is_host else [f"-Zbuild-std={libraries}"]
    return [program, command, "--target", target.name, "--target-dir", str(CACHE / "target"), *build_std, *arguments]


def say(text: str) -> None:
    print(text, flush=True)


def complain(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
