"""Compares what platform/ believes of a system with that system's own C headers, by compiling, for any target.

What is compared is taken from platform/ itself, so that nothing new can be forgotten:

1. every entry of the tables of numbers and of errnos,
2. every constant, type, field and CMSG_ macro that is used from the libc crate, with the value that it has when
   the crate is compiled for the target,
3. every number that stands in a `const` of its own, for which C_NAMES must say what it is in C, or NOT_IN_C why
   it is nothing in C.

Each becomes a _Static_assert. A wrong number is named with both values.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import targets
from targets import CACHE, ROOT, Target

PLATFORM = ROOT / "platform"


@dataclass(frozen=True)
class Fact:
    """A C expression, the value that platform/ relies on, and where it does."""

    expression: str
    value: int
    where: str
    # Headers may lack it: it is compared where they have it.
    may_be_missing: bool = False
    # Headers must lack it: platform/ says that this system has no such thing.
    absent: bool = False


class Wrong(Exception):
    def __init__(self, messages: list[str]) -> None:
        super().__init__("\n".join(messages))
        self.messages = messages


# 1. The tables. An entry in a form that is not known is an error, not an omission.

ABSENT = {"ABSENT", "NEVER_SENT"}

NO_HEADER_HAS_IT = {
    "ERESTARTSYS": "the kernel's own: in no header that a program sees",
}
NEWER_THAN_SOME_HEADERS = {
    "SCM_PIDFD": "since Linux 6.5; musl has no name for it",
    "SO_PASSRIGHTS": "since Linux 6.16",
}


def table(path: Path, start: str, separator: str) -> list[tuple[str, str]]:
    """The entries of a table: name and value."""
    text = re.sub(r"//.*", "", path.read_text())
    where = path.relative_to(ROOT)
    found = re.search(start + r"(.*?)\n\}", text, re.S)
    if not found:
        raise Wrong([f"ci/headers.py cannot find its table in {where}"])
    rows = [row.strip() for row in re.split(r",\s*\n|\} and \{", found[1] + "\n") if row.strip()]
    if wrong := [row for row in rows if not re.match(rf"\w+{separator}", row)]:
        raise Wrong([f"ci/headers.py cannot read {wrong[0]!r} in {where}"])
    return [tuple(row.split(separator, 1)) for row in rows]


def number(text: str, target: Target) -> int:
    """A number, or one of two where architectures differ."""
    if choice := re.fullmatch(r"if cfg!\((.*)\) \{\s*(\w+)\s*\} else \{\s*(\w+)\s*\}", text, re.S):
        if not re.fullmatch(r'(any\()?(\s*target_arch = "\w+",?)+\s*\)?', choice[1]):
            raise Wrong([f"ci/headers.py cannot read the condition {choice[1]!r}"])
        text = choice[2] if target.arch in re.findall(r'"(\w+)"', choice[1]) else choice[3]
    if not re.fullmatch(r"-?(0x[0-9a-fA-F_]+|[0-9_]+)", text):
        raise Wrong([f"ci/headers.py cannot read the number {text!r}"])
    return int(text, 0)


def from_tables(target: Target) -> list[Fact]:
    facts = []
    for file, start, separator in [
        ("numbers.rs", r"NUMBERS: Numbers = Numbers \{", ": "),
        ("errno.rs", r"errnos!\(\"\w+\", \{", " = "),
    ]:
        path = PLATFORM / target.system / file
        for name, value in table(path, start, separator):
            where = str(path.relative_to(ROOT))
            if value in ABSENT:
                facts.append(Fact(name, 0, where, absent=True))
            elif name not in NO_HEADER_HAS_IT:
                facts.append(Fact(name, number(value, target), where, may_be_missing=name in NEWER_THAN_SOME_HEADERS))
    return facts


# 2. What is used from the libc crate.

FUNCTIONS_OF_A_LENGTH = ("CMSG_LEN", "CMSG_SPACE")
LENGTHS = (0, 1, 4, 8, 12, 20, 504, 1012)

# The fields of a structure that platform/ reaches, by the prefix that C gives them.
FIELDS = {
    "cmsghdr": r"cmsg_(?:len|level|type)",
    "iovec": r"iov_\w+",
    "mmsghdr": r"msg_(?:hdr|len)\b",
    "msghdr": r"msg_(?:name|namelen|iov|iovlen|control|controllen|flags)\b",
    "sockaddr": r"sa_\w+",
    "sockaddr_in": r"sin_\w+",
    "sockaddr_in6": r"sin6_\w+",
    "sockaddr_storage": r"ss_\w+",
    "sockaddr_un": r"sun_\w+",
    "tcp_info": r"tcpi_\w+",
    "linger": r"l_(?:onoff|linger)\b",
    "pollfd": r"(?:fd|events|revents)\b",
    "siginfo_t": r"si_code\b",
    "stat": r"st_\w+",
    "stat64": r"st_\w+",
    "timespec": r"tv_(?:sec|nsec)\b",
    "timeval": r"tv_(?:sec|usec)\b",
    "ucred": r"[pug]id\b",
}
# platform/kernel/control.rs writes and reads these without the libc crate.
ALWAYS = {("cmsghdr", "cmsg_len"), ("cmsghdr", "cmsg_level"), ("cmsghdr", "cmsg_type")}

SCALARS = {"c_int": "int", "c_uint": "unsigned", "c_short": "short", "c_char": "char", "c_long": "long", "c_void": ""}


def platform_sources(*folders: str) -> dict[str, str]:
    """The text of platform/'s files, without comments and tests."""
    paths = [*PLATFORM.glob("*.rs"), *(path for folder in folders for path in (PLATFORM / folder).glob("*.rs"))]
    kept = {str(path.relative_to(ROOT)): path.read_text() for path in sorted(paths) if path.name != "tests.rs"}
    return {path: re.sub(r"//.*", "", text) for path, text in kept.items()}


def spelled_out(text: str, target: Target, path: str) -> str:
    """The text with `libc::` before each name that it imports from there, under the name that it has there."""

    def names(found: re.Match) -> str:
        if condition := found[1]:
            if 'target_env = "gnu"' not in condition:
                raise Wrong([f"ci/headers.py cannot read the condition {condition!r} in {path}"])
            if target.name.endswith(("-gnu", "-gnueabihf")) == condition.startswith("not("):
                return ""
        imports = [word.strip().partition(" as ") for word in found[2].split(",") if word.strip()]
        is_call = {name: re.search(rf"\b{alias or name}\(", text) for name, _, alias in imports}
        return "\n".join(f"libc::{name}(" if called else f"libc::{name}" for name, called in is_call.items())

    return re.sub(r"(?:#\[cfg\((.*)\)\]\s*)?\buse libc::\{([^}]*)\};", names, text)


def rust_and_c(target: Target) -> list[tuple[str, str, str]]:
    """What is used from the libc crate: in Rust, in C, and where."""
    pairs: dict[str, tuple[str, str]] = {}
    for path, text in platform_sources("kernel", "posix", "native", target.system).items():
        text = spelled_out(text, target, path)
        if hidden := re.search(r"\buse libc::[^;]*;", text):
            raise Wrong([f"ci/headers.py cannot read {hidden[0]!r} in {path}"])
        for used in re.finditer(r"\blibc::(\w+)(\()?", text):
            name, is_call = used[1], used[2]
            if name in FUNCTIONS_OF_A_LENGTH:
                for length in LENGTHS:
                    pairs.setdefault(f"unsafe {{ libc::{name}({length}) }}", (f"{name}({length})", path))
            elif is_call or name in ("CMSG_DATA", "CMSG_FIRSTHDR", "CMSG_NXTHDR"):
                continue
            elif re.match(r"[A-Z]+_|[A-Z]+$", name):
                pairs.setdefault(f"libc::{name}", (name, path))
            elif name in FIELDS:
                for rust, c in structure(name, text):
                    pairs.setdefault(rust, (c, path))
            elif name in SCALARS or name.endswith("_t"):
                if c_name := SCALARS.get(name, name):
                    pairs.setdefault(f"size_of::<libc::{name}>()", (f"sizeof({c_name})", path))
            else:
                raise Wrong([f"{path} uses libc::{name}: say in FIELDS of ci/headers.py how its fields are named"])
    for name, field in sorted(ALWAYS):
        for rust, c in structure(name, field):
            pairs.setdefault(rust, (c, "platform/kernel/control.rs"))
    return [(rust, c, path) for rust, (c, path) in pairs.items()]


def structure(name: str, text: str) -> list[tuple[str, str]]:
    rust, c = f"libc::{name}", name if name.endswith("_t") else f"struct {name}"
    # The C libraries' tcp_info end at different fields, and platform/ relies on the offsets alone.
    pairs = [] if name == "tcp_info" else [
        (f"size_of::<{rust}>()", f"sizeof({c})"),
        (f"align_of::<{rust}>()", f"_Alignof({c})"),
    ]
    for field in sorted(set(re.findall(rf"\b{FIELDS[name]}", text))):
        pairs.append((f"core::mem::offset_of!({rust}, {field})", f"offsetof({c}, {field})"))
        pairs.append((f"size_of_field(|whole: &{rust}| &raw const whole.{field})", f"sizeof((({c} *)0)->{field})"))
    return pairs


PROBE = """\
#![no_std]
#![allow(unused_unsafe, clippy::all)]
#[allow(dead_code)]
const fn size_of_field<S, F>(_: fn(&S) -> *const F) -> usize {{ size_of::<F>() }}
const fn digits(value: i128) -> [u8; 24] {{
    let mut text = [b' '; 24];
    let mut rest = value.unsigned_abs();
    let mut at = 23;
    loop {{
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        at -= 1;
        if rest == 0 {{ break; }}
    }}
    if value < 0 {{ text[at] = b'-'; }}
    text
}}
#[repr(C)]
pub struct Values {{ mark: [u8; 24], values: [[u8; 24]; {count}] }}
#[used]
#[unsafe(no_mangle)]
pub static UNISEND_VALUES: Values = Values {{
    mark: *b"these are unisend's facts",
    values: [{values}],
}};
""".replace("these are unisend's facts", "these are unisend facts:")
MARK = b"these are unisend facts:"


def from_libc(target: Target) -> list[Fact]:
    """The values are text in an object file that is compiled for the target, and read from there: it need not run."""
    found = rust_and_c(target)
    package = CACHE / "headers" / target.name
    values = ",\n".join(f"digits({rust} as i128)" for rust, _, _ in found)
    lock = (ROOT / "Cargo.lock").read_text()
    version = re.search(r'name = "libc"\nversion = "([^"]+)"', lock)
    assert version, "Cargo.lock has the libc crate"
    write_if_new(package / "src" / "lib.rs", PROBE.format(count=len(found), values=values))
    write_if_new(
        package / "Cargo.toml",
        f'[package]\nname = "unisend-facts"\nversion = "0.0.0"\nedition = "2024"\n\n[workspace]\n\n'
        f'[dependencies]\nlibc = {{ version = "={version[1]}", default-features = false }}\n',
    )
    arguments = ("--offline", "--manifest-path", str(package / "Cargo.toml"), "--quiet")
    command = targets.cargo(target, "build", *arguments, libraries="core")
    built = subprocess.run(command, env=targets.cargo_environment(target), capture_output=True, text=True)
    if built.returncode:
        raise Wrong([f"the libc crate was not compiled: {built.stderr.strip()[-2000:]}"])
    library = CACHE / "target" / target.name / "debug" / "libunisend_facts.rlib"
    contents = library.read_bytes()
    start = contents.index(MARK) + len(MARK)
    texts = [contents[start + 24 * index : start + 24 * (index + 1)] for index in range(len(found))]
    return [Fact(c, int(text), path) for (_, c, path), text in zip(found, texts)]


def write_if_new(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


# 3. Numbers that stand alone.

C_NAMES = {
    ("platform/kernel/socket_name.rs", "HEADER"): "offsetof(struct sockaddr_in, sin_port)",
    ("platform/kernel/socket_name.rs", "V4_BYTES"): "sizeof(struct sockaddr_in)",
    ("platform/kernel/socket_name.rs", "V6_BYTES"): "sizeof(struct sockaddr_in6)",
    ("platform/linux/calls.rs", "STATE"): "offsetof(struct tcp_info, tcpi_state)",
    ("platform/linux/calls.rs", "SEGMENTS_OUT"): "offsetof(struct tcp_info, tcpi_segs_out)",
    ("platform/linux/calls.rs", "SEGMENTS_IN"): "offsetof(struct tcp_info, tcpi_segs_in)",
    ("platform/linux/calls.rs", "TCP_INFO_BYTES"): "offsetof(struct tcp_info, tcpi_segs_in) + 4",
    ("platform/linux/kernel.rs", "NULL_MAJOR"): "MEM_MAJOR",
    ("platform/linux/verdict.rs", "SYN_SENT"): "TCP_SYN_SENT",
    ("platform/linux/verdict.rs", "CLOSE"): "TCP_CLOSE",
    ("platform/linux/verdict.rs", "LISTEN"): "TCP_LISTEN",
    ("platform/contract/limits.rs", "SLICES_PER_MESSAGE"): "IOV_MAX",
}
C_NAMES_ON = {
    "linux": {
        ("platform/contract/limits.rs", "ABSTRACT_NAME_BYTES"): "sizeof(((struct sockaddr_un *)0)->sun_path) - 1",
        ("platform/contract/limits.rs", "SOCKADDR_BYTES"): "sizeof(struct sockaddr_storage)",
    },
    "openbsd": {("platform/contract/limits.rs", "UNIX_PATH_BYTES"): "sizeof(((struct sockaddr_un *)0)->sun_path) - 1"},
}
NOT_IN_C = {
    ("platform/kernel/numbers.rs", "ABSENT"): "the number of a flag that is none",
    ("platform/kernel/numbers.rs", "NEVER_SENT"): "the type of a message that is none",
    ("platform/contract/send_flags.rs", "COMBINATIONS"): "how many sets of flags there are",
    ("platform/linux/calls.rs", "AT_ONCE"): "no time at all",
    ("platform/linux/kernel.rs", "NULL_DEVICE"): "its major and its minor number",
    ("platform/linux/kernel.rs", "NULL_MINOR"): "of /dev/null: in no header",
    ("platform/linux/kernel.rs", "SOURCE_V4"): "where the source is in a struct in_pktinfo",
    ("platform/openbsd/kernel.rs", "SOURCE_V4"): "a struct in_addr alone",
    ("platform/kernel/interface.rs", "SCTP"): "a number of IANA's, for which OpenBSD has no name",
    ("platform/openbsd/kernel.rs", "FIRST_PART_WITH_DESCRIPTORS"): "what was seen of its kernel (clause R13)",
    ("platform/native/seqpacket.rs", "AS_MANY_AS_CAN_BE"): "what both kernels take for the longest queue",
    ("platform/native/sendfile.rs", "STACK_BUFFER"): "what was found to do well",
    ("platform/native/transfer.rs", "FIRST_MESSAGE"): "what was found to do well",
    ("platform/kernel/socket_name.rs", "UNIX_BYTES"): "room for the larger sockaddr_un, held to it at compile time",
    ("platform/native/sigpipe.rs", "HANDLED"): "how many signals a test has handled",
    ("platform/native/receive.rs", "CONTROL_BYTES"): "room, as the contract has it",
    ("platform/native/batch.rs", "CONTROL_BYTES"): "room for what comes with UDP",
    ("platform/contract/limits.rs", "DESCRIPTORS_PER_MESSAGE"): "the smaller of two kernels' limits, less one (clause L11)",
    ("platform/contract/limits.rs", "DATAGRAMS_PER_CALL"): "less than the 1024 that both kernels take",
    ("platform/contract/limits.rs", "SEGMENTS_PER_CALL"): "what Linux takes, before 6.10: in no header that a program sees",
    ("platform/contract/limits.rs", "DATAGRAM_BYTES"): "65535 less the headers of IPv4 and UDP",
    ("platform/contract/limits.rs", "BYTES_PER_SENDFILE"): "what Linux takes in one call: in no header that a program sees",
    ("platform/contract/limits.rs", "UNIX_PATH_BYTES"): "OpenBSD's, which is the smaller",
    ("platform/contract/limits.rs", "ABSTRACT_NAME_BYTES"): "of Linux alone",
    ("platform/contract/limits.rs", "SOCKADDR_BYTES"): "Linux's, which is the smaller (clause O2)",
}


def from_constants(system: str) -> list[Fact]:
    facts = []
    # Whatever its type is, and however it is written: a digit in what it is makes it a number.
    alone = re.compile(r"\b(?:const|static) (\w+): [^=;{]+(?:;[^=;{]+)? = ([^;{]*\b\d[^;]*);")
    for path, text in platform_sources("contract", "kernel", "posix", "native", system).items():
        for name, value in alone.findall(text):
            c_name = C_NAMES_ON[system].get((path, name)) or C_NAMES.get((path, name))
            if c_name:
                facts.append(Fact(c_name, int(re.sub(r"_?[ui](8|16|32|64|size)$", "", value), 0), f"{path}, {name}"))
            elif (path, name) not in NOT_IN_C and name != "_":
                raise Wrong([f"{path} has {name} = {value}: say in C_NAMES of ci/headers.py what it is in C, or in NOT_IN_C why it is nothing"])
    return facts


# What is read and written as bytes, without a number of its own.
PEER_CREDENTIALS = {
    "linux": [("pid", 0), ("uid", 4), ("gid", 8)],
    "openbsd": [("uid", 0), ("gid", 4), ("pid", 8)],
}


def from_bytes(system: str) -> list[Fact]:
    name = {"linux": "struct ucred", "openbsd": "struct sockpeercred"}[system]
    where = f"platform/{system}/kernel.rs, credentials"
    fields = PEER_CREDENTIALS[system]
    return [
        Fact(f"sizeof({name})", 12, where),
        *(Fact(f"offsetof({name}, {field})", at, where) for field, at in fields),
        *(Fact(f"sizeof((({name} *)0)->{field})", 4, where) for field, _ in fields),
    ]


# The comparison.

HEADERS = """\
#define _GNU_SOURCE
#include <stddef.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#include <sys/types.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
"""
ONLY_ON = {"linux": "#include <sys/sendfile.h>\n#include <linux/major.h>\n#include <linux/udp.h>\n", "openbsd": ""}


def facts(target: Target) -> list[Fact]:
    system = target.system
    return [*from_tables(target), *from_libc(target), *from_constants(system), *from_bytes(system)]


def assertion(fact: Fact) -> str:
    if fact.absent:
        return f"#ifdef {fact.expression}\n#error {fact.expression} is absent by {fact.where}\n#endif"
    line = f'_Static_assert((long long)({fact.expression}) == {fact.value}LL, "{fact.expression} of {fact.where}");'
    return f"#ifdef {fact.expression}\n{line}\n#endif" if fact.may_be_missing else line


def compare(target: Target, facts: list[Fact]) -> None:
    """Raises Wrong, which names each number that is not the headers' with both values."""
    source = CACHE / "headers" / f"{target.name}.c"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(HEADERS + ONLY_ON[target.system] + "\n".join(map(assertion, facts)) + "\n")
    command = [targets.zig_wrapper(target), "-std=gnu11", "-ferror-limit=0", "-fno-caret-diagnostics", "-c", "-o", source.with_suffix(".o"), source]
    done = subprocess.run(command, env=targets.zig_environment(), capture_output=True, text=True)
    if done.returncode:
        raise Wrong(explain(done.stderr, facts) or [done.stderr.strip()])


def explain(diagnostics: str, facts: list[Fact]) -> list[str]:
    """zig's complaints in a line each, with the headers' value and ours."""
    messages: list[str] = []
    for line in diagnostics.splitlines():
        if failed := re.search(r"error: static assertion failed.*: (.*) of (platform/.*)$", line):
            fact = next(fact for fact in facts if (fact.expression, fact.where) == (failed[1], failed[2]))
            messages.append(f"{fact.expression} is {fact.value} by {fact.where}")
        elif (evaluated := re.search(r"expression evaluates to '(-?\d+) == ", line)) and messages:
            messages[-1] += f", and {evaluated[1]} by the headers"
        elif other := re.search(r"error: (?!static assertion)(.*)", line):
            messages.append(other[1])
    return messages


def check(target: Target) -> int:
    """How many facts were compared, whatever the headers are; raises Wrong if any is."""
    found = facts(target)
    compare(target, found)
    return sum(not fact.may_be_missing for fact in found)
