"""A real kernel in a machine of its own: Debian's kernel, fetched once, in a whole-machine emulator, with what was built
for such a machine and a small Debian around it. All of that is in .cache/kernels.

The machine has no disk and no network. What was found comes out on its console, as a compressed archive in base64 at the
end: each kernel has a console, and few have anything else without modules.
"""

import base64
import binascii
import gzip
import hashlib
import io
import lzma
import os
import platform
import re
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from targets import BY_NAME, CACHE, ROOT, Target

KERNELS = CACHE / "kernels"

# The users that everything can be run as: names in the machine's /etc/passwd.
USERS = ("root", "user")

# In MB. Older kernels fill the holes of a file that is read in a tmpfs, and tests have one of 4 GiB.
MEMORY = "6144"

# A machine that is not at its end by then hangs. The slowest takes half as long.
MACHINE_SECONDS = 3600


@dataclass(frozen=True)
class Machine:
    """What qemu makes, and what Debian calls it. Its programs are `target`'s; its small Debian is of `suite`."""

    target: Target
    debian: str
    qemu: tuple[str, ...]
    console: str
    suite: str = "bookworm"


def machine(target: str, debian: str, qemu: str, console: str, **others) -> Machine:
    return Machine(BY_NAME[target], debian, tuple(qemu.split()), console, **others)


# What is taken from the processors is what qemu 7.2 does slowly, or wrongly: x86's copying by `rep movsb` goes byte by byte, and with
# s390x's vectors the kernel's checksums are wrong, so that answers to what is refused are lost.
MACHINES = {
    "x86_64": machine("x86_64-unknown-linux-musl", "amd64", "qemu-system-x86_64 -machine q35 -cpu max,erms=off,fsrm=off", "ttyS0"),
    "aarch64": machine("aarch64-unknown-linux-musl", "arm64", "qemu-system-aarch64 -machine virt -cpu cortex-a76", "ttyAMA0"),
    "i686": machine("i686-unknown-linux-gnu", "i386", "qemu-system-x86_64 -machine q35 -cpu max,erms=off,fsrm=off", "ttyS0"),
    "armv7": machine("armv7-unknown-linux-gnueabihf", "armhf", "qemu-system-arm -machine virt -cpu cortex-a15", "ttyAMA0"),
    "powerpc64le": machine("powerpc64le-unknown-linux-gnu", "ppc64el", "qemu-system-ppc64 -machine pseries -cpu power9", "hvc0"),
    "riscv64": machine("riscv64gc-unknown-linux-gnu", "riscv64", "qemu-system-riscv64 -machine virt", "ttyS0", suite="sid"),
    "s390x": machine("s390x-unknown-linux-gnu", "s390x", "qemu-system-s390x -machine s390-ccw-virtio -cpu max,vx=off", "ttysclp0"),
}


@dataclass(frozen=True)
class Kernel:
    """The newest package with a name like this in these suites."""

    release: str
    arch: str
    suites: tuple[str, ...]
    package: str
    # The size of its pages in KiB: some machines have kernels of several.
    pages: int = 4

    @property
    def name(self) -> str:
        return f"{self.release}-{self.arch}" + (f"-{self.pages}k" if self.pages != 4 else "")

    @property
    def machine(self) -> Machine:
        return MACHINES[self.arch]

    @property
    def directory(self) -> Path:
        """What was fetched."""
        return KERNELS / self.name

    @property
    def last_run(self) -> Path:
        """What its machine left when it last ran everything as each user: the console, and for each user a log of each test
        program and the suite's report."""
        return self.directory / "run"

    def run_directory(self, asked: "Asked") -> Path:
        """What it leaves: less than everything does not replace what is known of everything."""
        return self.last_run if asked.is_all else self.directory / "part"


def fingerprint(programs: Path) -> str:
    """Programs with the same name and content have the same."""
    digest = hashlib.sha256()
    for program in sorted(path for path in programs.rglob("*") if path.is_file()):
        digest.update(str(program.relative_to(programs)).encode())
        digest.update(hashlib.sha256(program.read_bytes()).digest())
    return digest.hexdigest()


class Unavailable(Exception):
    """A kernel that cannot be had, and why."""


# The kernel's packages. Where Debian signs a kernel, the unsigned one is the same without another package around it.
SIGNED = r"linux-(image-{release}[\d.+deb-]*-{flavour}-unsigned|binary-unsigned-{release}[\d.+deb]*-{flavour})"
PLAIN = r"linux-(image|binary)-{release}[\d.+deb-]*-{flavour}"
NEWEST = r"\d"


def row(release: str, arch: str, suites: str, flavour: str, shape: str = SIGNED, pages: int = 4) -> Kernel:
    number = NEWEST if release == "newest" else re.escape(f"{release}.")
    return Kernel(release, arch, tuple(suites.split()), shape.format(release=number, flavour=flavour), pages)


ROWS = [
    row("5.10", "x86_64", "bullseye", "amd64"),
    row("6.1", "x86_64", "bookworm", "amd64"),
    row("6.12", "x86_64", "trixie", "amd64"),
    row("newest", "x86_64", "sid trixie-backports", "amd64"),
    row("5.10", "aarch64", "bullseye", "arm64"),
    row("newest", "aarch64", "sid", "arm64"),
    row("newest", "aarch64", "sid", "arm64-16k", pages=16),
    row("6.1", "powerpc64le", "bookworm", "powerpc64le", PLAIN, pages=64),
    row("newest", "powerpc64le", "sid", "powerpc64le-64k", PLAIN, pages=64),
    row("newest", "powerpc64le", "sid", "powerpc64le", PLAIN),
    row("newest", "riscv64", "sid", "riscv64", PLAIN),
    row("6.1", "s390x", "bookworm", "s390x", PLAIN),
    row("newest", "s390x", "sid", "s390x", PLAIN),
    row("5.10", "i686", "bullseye", "686-pae"),
    row("6.1", "i686", "bookworm", "686-pae"),
    row("newest", "armv7", "sid", "armmp-lpae", PLAIN),
]

BY_KERNEL = {kernel.name: kernel for kernel in ROWS}

# What there is no kernel for, and why.
NOT_HAD = {
    "5.10 for powerpc64le, riscv64 and s390x": "Debian has none any more",
    "i686 after 6.1": "Debian makes none",
    "armv7 before the newest": "they do not start with the memory that tests with files of 4 GiB need",
    "OpenBSD": "Debian has none: ci/remote runs everything on a machine that has it",
}


# Packages


def mirror() -> str:
    """Where this machine's own Debian comes from."""
    listed = apt({}, "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages")
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "stable")
    places = [line.split()[0] for line in listed.splitlines() if line.split()[1:] == [release, "main"]]
    if not places:
        raise Unavailable(f"apt is not configured for Debian {release} here")
    return places[0]


def apt(environment: dict[str, str], *command: str, directory: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=directory, env={**os.environ, **environment}, capture_output=True, text=True)
    if done.returncode:
        wrong = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        raise Unavailable(f"{' '.join(command[:2])}: {wrong[0] if wrong else done.stderr.strip()}")
    return done.stdout


def index(suite: str, debian: str) -> dict[str, str]:
    """The environment in which apt knows this suite for this machine, and nothing else: it has lists, a cache and a state
    of its own, and does not look at, or change, those of the machine that it runs on."""
    directory = KERNELS / "apt" / f"{suite}-{debian}"
    configuration = directory / "apt.conf"
    environment = {"APT_CONFIG": str(configuration)}
    if (directory / "complete").exists():
        return environment
    for folder in ("sources", "lists/partial", "cache/archives/partial"):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    (directory / "status").touch()
    (directory / "sources/suite.sources").write_text(
        f"Types: deb\nURIs: {mirror()}\nSuites: {suite}\nComponents: main\nArchitectures: {debian}\nTargets: Packages\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    )
    configuration.write_text(
        f'Dir::Etc::SourceList "/dev/null";\nDir::Etc::SourceParts "{directory}/sources";\nDir::Etc::Preferences "/dev/null";\n'
        f'Dir::Etc::PreferencesParts "/dev/null";\nDir::State "{directory}";\nDir::State::Lists "{directory}/lists";\n'
        f'Dir::State::Status "{directory}/status";\nDir::Cache "{directory}/cache";\n'
        f'APT::Architecture "{debian}";\nAPT::Architectures {{ "{debian}"; }};\nAPT::Sandbox::User "root";\n'
        'Acquire::Languages "none";\nAcquire::Retries "3";\n'
    )
    apt(environment, "apt-get", "update", "--error-on=any")
    (directory / "complete").touch()
    return environment


def fetch_kernel(kernel: Kernel) -> str:
    """Has the kernel's image in its directory, with the modules that the suite needs, and says from which package."""
    said = kernel.directory / "package"
    if said.exists():
        return said.read_text()
    found, reasons = [], []
    for suite in kernel.suites:
        try:
            names = apt(index(suite, kernel.machine.debian), "apt-cache", "pkgnames", "linux-").split()
        except Unavailable as reason:
            reasons.append(f"{suite}: {reason}")
            continue
        found += [(numbers(name), name, suite) for name in names if re.fullmatch(kernel.package, name)]
    if not found:
        raise Unavailable("; ".join(reasons) or f"Debian {', '.join(kernel.suites)} has no such kernel")
    # Of two with the same number, linux-image is an empty one that needs linux-binary.
    _, name, suite = min(found, key=lambda row: ([-number for number in row[0]], row[1]))
    found = unpack(kernel, suite, name)
    if "veth" not in found:
        found |= unpack(kernel, suite, re.sub(r"^linux-binary(-unsigned)?", "linux-modules", name))
    if missing := {"image", "veth", "nf_tables"} - found:
        raise Unavailable(f"{name} of Debian {suite} has no {' and no '.join(missing)}")
    said.write_text(f"{name} of Debian {suite}")
    return said.read_text()


def numbers(name: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", name)]


# What is taken from a kernel's packages: of its thousands of modules, those of a link between two networks and of the packet
# filter, in the order in which they are loaded. Newer kernels have no use for the first two.
MODULES = ("crc32c_generic", "libcrc32c", "nfnetlink", "nf_tables", "veth")
IMAGE = r"/vmlinu[xz](?:-[^/]*|\.unsigned)?$"
WANTED = re.compile(rf"{IMAGE}|/({'|'.join(MODULES)})\.ko(?:\.xz)?$")


def unpack(kernel: Kernel, suite: str, name: str) -> set[str]:
    """Takes what is wanted from a package, and says what was there: "image" or the name of a module."""
    modules = kernel.directory / "modules"
    modules.mkdir(parents=True, exist_ok=True)
    folder = kernel.directory / "download"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    apt(index(suite, kernel.machine.debian), "apt-get", "download", "-qq", name, directory=folder)
    archive = next(folder.glob("*.deb"))
    found = set()
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE) as unpacking:
        with tarfile.open(fileobj=unpacking.stdout, mode="r|") as files:
            for file in filter(tarfile.TarInfo.isreg, files):
                if wanted := WANTED.search(file.name):
                    content = files.extractfile(file).read()
                    content = lzma.decompress(content) if file.name.endswith(".xz") else content
                    path = modules / f"{wanted[1]}.ko" if wanted[1] else kernel.directory / "image"
                    path.write_bytes(content)
                    found.add(wanted[1] or "image")
    shutil.rmtree(folder)
    return found


# A shell and its commands, and what else the tests and the suite start.
PROGRAMS = ("busybox-static", "iproute2", "nftables", "strace")


def fetch_userland(machine: Machine) -> Path:
    """A small Debian: a shell, what the tests start, and the C library of targets that are not linked statically."""
    directory = KERNELS / "userland" / machine.debian
    if (directory / "complete").exists():
        return directory / "root"
    shutil.rmtree(directory, ignore_errors=True)
    root = directory / "root"
    for folder in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / folder).mkdir(parents=True)
        (root / folder).symlink_to(f"usr/{folder}")
    environment = index(machine.suite, machine.debian)
    install = ["apt-get", "install", "-y", "-qq", "--download-only", "--no-install-recommends", *PROGRAMS]
    apt(environment, *install, "-o", f"Dir::Cache::Archives={prepared(directory / 'packages')}")
    for archive in sorted((directory / "packages").glob("*.deb")):
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE) as unpacking:
            leave_out = [f"--exclude={name}" for name in ("./usr/share", "./usr/lib/*/gconv", "./usr/lib/*/audit")]
            unpack = ["tar", "--extract", "--keep-directory-symlink", "--no-same-owner", *leave_out, "--directory", root]
            subprocess.run(unpack, stdin=unpacking.stdout, check=True)
    (directory / "complete").touch()
    return root


def prepared(archives: Path) -> Path:
    (archives / "partial").mkdir(parents=True)
    return archives


# The machine


@dataclass(frozen=True)
class Asked:
    """What a machine is to run."""

    users: Sequence[str] = USERS
    # The suite, and these test programs: all, if neither is asked for.
    suite: bool = False
    tests: Sequence[str] = ()
    seconds: int = MACHINE_SECONDS

    @property
    def kinds(self) -> tuple[str, ...]:
        chosen = (*(["tests"] if self.tests else []), *(["conformance"] if self.suite else []))
        return chosen or ("tests", "conformance")

    @property
    def steps(self) -> tuple[str, ...]:
        return ("machine", *(f"{kind} as {user}" for user in self.users for kind in self.kinds))

    @property
    def is_all(self) -> bool:
        return not self.tests and self.steps == Asked().steps

    @property
    def options(self) -> str:
        """Those of ci/run-here."""
        return " ".join([*(["--suite"] if self.suite else []), *(f"--test {name}" for name in self.tests)])


def initramfs(kernel: Kernel, programs: Path, directory: Path, asked: Asked) -> Path:
    """All that the machine has, as the archive that its kernel starts with: the small Debian, the programs, and the
    folder that they were built in, as far as tests look for it, at the same path."""
    root = directory / "root"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(fetch_userland(kernel.machine), root, symlinks=True, copy_function=os.link)
    for folder in ("dev", "proc", "sys", "etc", "root", "results"):
        (root / folder).mkdir(exist_ok=True)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/tmp:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nuser:x:1000:\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    (root / "etc/machine").write_text(
        f"project='{ROOT}'\nusers='{' '.join(asked.users)}'\nmodules='{' '.join(MODULES)}'\noptions='{asked.options}'\n"
    )
    shutil.copytree(programs, root / "programs")
    shutil.copy2(ROOT / "ci/run-here", root / "programs")
    shutil.copy2(ROOT / "ci/kernel-init", root / "init")
    shutil.copytree(kernel.directory / "modules", root / "modules")
    project = root / ROOT.relative_to("/")
    shutil.copytree(ROOT / "tests/conformance/recorded", project / "tests/conformance/recorded")
    shutil.copy2(ROOT / "tests/conformance/Cargo.toml", project / "tests/conformance")
    suite = root / kernel.machine.target.suite_program.relative_to("/")
    suite.parent.mkdir(parents=True)
    suite.symlink_to("/programs/unisend-conformance")
    archive = directory / "initramfs"
    names = subprocess.run(["find", ".", "-print0"], cwd=root, check=True, capture_output=True).stdout
    with archive.open("wb") as written:
        pack = ["cpio", "--quiet", "--null", "--create", "--format=newc", "--owner=0:0", "--reproducible"]
        subprocess.run(pack, cwd=root, input=names, stdout=written, check=True)
    shutil.rmtree(root)
    return archive


def command(kernel: Kernel, archive: Path) -> list[str]:
    machine = kernel.machine
    told = f"console={machine.console} loglevel=4 panic=-1 random.trust_cpu=on"
    return [
        *machine.qemu,
        *("-accel", "tcg,thread=multi", "-smp", "2", "-m", MEMORY),
        *("-display", "none", "-monitor", "none", "-serial", "stdio", "-nic", "none", "-no-reboot"),
        *("-kernel", str(kernel.directory / "image"), "-initrd", str(archive), "-append", told),
    ]


@dataclass
class Run:
    """What a machine left: its console, and for each user how the programs ended and what they said."""

    console: str
    wrong: str = ""
    files: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def began(self) -> bool:
        """Whether its first process has said which kernel it runs on."""
        return bool(re.search(r"^Linux \S+ \S+$", self.console, re.M))


def boot(kernel: Kernel, programs: Path, directory: Path, asked: Asked) -> Run:
    """Starts the machine, waits for its end, and unpacks what it says at the end. Its console is kept in any case."""
    directory.mkdir(parents=True, exist_ok=True)
    archive = initramfs(kernel, programs, directory, asked)
    kept = directory / "console.log"
    with kept.open("wb") as console:
        emulator = subprocess.Popen(command(kernel, archive), stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT)
        try:
            wrong = f"{kernel.machine.qemu[0]} ended with {code}" if (code := emulator.wait(asked.seconds)) else ""
        except subprocess.TimeoutExpired:
            wrong = f"the machine was ended after {asked.seconds} s"
        finally:
            emulator.kill()
            emulator.wait()
    run = Run(kept.read_text(errors="replace").replace("\r", ""), wrong)
    try:
        run.files = results(run.console)
    except ValueError as reason:
        run.wrong = run.wrong or str(reason)
    archive.unlink()
    return run


RESULTS = re.compile(r"^-----BEGIN RESULTS-----$(.*?)^-----END RESULTS-----$", re.M | re.S)


def results(console: str) -> dict[str, dict[str, str]]:
    """By user, the files that it left. What is not whole is an error."""
    found = RESULTS.search(console)
    if not found:
        raise ValueError("no results came back")
    try:
        packed = gzip.decompress(base64.b64decode("".join(found[1].split()), validate=True))
    except (binascii.Error, OSError, EOFError, zlib.error) as reason:
        raise ValueError(f"the results are not whole: {reason}") from None
    files: dict[str, dict[str, str]] = {}
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for file in filter(tarfile.TarInfo.isreg, archive):
            user, name = Path(file.name).parts[-2:]
            files.setdefault(user, {})[name] = archive.extractfile(file).read().decode(errors="replace")
    return files
