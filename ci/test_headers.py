"""A wrong number of platform/ is found, and named with both values."""

import sys
import unittest
from dataclasses import replace
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))

import headers  # noqa: E402
from targets import BY_NAME  # noqa: E402

LINUX = BY_NAME["x86_64-unknown-linux-musl"]
OPENBSD = BY_NAME["riscv64gc-unknown-openbsd"]
SPARC = BY_NAME["sparc64-unknown-openbsd"]


class WrongNumbers(unittest.TestCase):
    def complaints(self, target, change):
        """What is said of the tables when each fact is as `change` makes it."""
        facts = [*headers.from_tables(target), *headers.from_constants(target.system), *headers.from_bytes(target.system)]
        try:
            headers.compare(target, [change(fact) for fact in facts])
        except headers.Wrong as wrong:
            return wrong.messages
        return []

    def planted(self, target, expression, value):
        """What is said when one number is planted."""
        seen = []

        def change(fact):
            seen.append(fact.expression)
            return replace(fact, value=value, absent=False) if fact.expression == expression else fact

        messages = self.complaints(target, change)
        self.assertIn(expression, seen)
        return messages

    def test_what_is_there_is_right(self):
        for target in (LINUX, OPENBSD, SPARC):
            self.assertEqual(self.complaints(target, lambda fact: fact), [])

    def test_a_wrong_flag_is_named_with_both_values(self):
        # A number that an old manual had.
        messages = self.planted(OPENBSD, "MSG_NOSIGNAL", 0x2000)
        self.assertEqual(messages, ["MSG_NOSIGNAL is 8192 by platform/openbsd/numbers.rs, and 1024 by the headers"])

    def test_a_wrong_errno_is_named_with_both_values(self):
        messages = self.planted(LINUX, "EAGAIN", 35)
        self.assertEqual(messages, ["EAGAIN is 35 by platform/linux/errno.rs, and 11 by the headers"])

    def test_a_wrong_size_is_named_with_both_values(self):
        [message] = self.planted(LINUX, "sizeof(struct sockaddr_in6)", 24)
        self.assertRegex(message, r"is 24 by platform/kernel/socket_name.rs, V6_BYTES, and 28 by the headers")

    def test_a_wrong_offset_is_named_with_both_values(self):
        [message] = self.planted(LINUX, "offsetof(struct ucred, uid)", 8)
        self.assertRegex(message, r"is 8 by platform/linux/kernel.rs, credentials, and 4 by the headers")

    def test_two_wrong_numbers_are_both_named(self):
        messages = self.complaints(LINUX, lambda fact: replace(fact, value=fact.value + 1) if fact.expression in ("EPIPE", "MSG_OOB") else fact)
        self.assertEqual(len(messages), 2)

    def test_what_is_said_to_be_absent_must_be(self):
        fact = headers.Fact("MSG_MORE", 0, "platform/openbsd/numbers.rs", absent=True)
        headers.compare(OPENBSD, [fact])
        with self.assertRaisesRegex(headers.Wrong, "MSG_MORE is absent by"):
            headers.compare(LINUX, [fact])

    def test_what_the_headers_do_not_have_is_named(self):
        with self.assertRaisesRegex(headers.Wrong, "MSG_IMAGINARY"):
            headers.compare(LINUX, [headers.Fact("MSG_IMAGINARY", 1, "platform/linux/numbers.rs")])


class Derived(unittest.TestCase):
    """Nothing is compared that stands in a list of its own here: it is found in platform/."""

    def test_every_number_in_the_tables_is_compared(self):
        for target in (LINUX, OPENBSD):
            names = {fact.expression for fact in headers.from_tables(target)}
            text = (headers.PLATFORM / "kernel" / "numbers.rs").read_text()
            fields = set(headers.re.findall(r"pub\(in crate::platform\) (\w+): c_int", text))
            self.assertLessEqual(fields, names)
            self.assertGreater(len(fields), 20)

    def planted_source(self, text):
        """What is said of a source of platform/ to which this text was added."""
        sources = headers.platform_sources

        def planted(*folders):
            return sources(*folders) | {"platform/posix/planted.rs": text}

        with mock.patch.object(headers, "platform_sources", planted):
            return headers.rust_and_c(LINUX), headers.from_constants("linux")

    def test_a_number_of_any_type_and_form_must_have_a_name_in_c(self):
        for text in (
            "const A: c_int = 1 << 7;",
            "const A: [c_int; 2] = [1, 2];",
            "const A: libc::c_int = 99;",
            "const A: Option<c_int> = Some(3);",
            "static A: c_int = 99;",
        ):
            with self.subTest(text), self.assertRaisesRegex(headers.Wrong, "planted.rs has A = "):
                self.planted_source(text)

    def test_what_is_imported_is_compared_under_its_own_name(self):
        used, _ = self.planted_source("use libc::{SO_LINGER, stat as status, fstat};\nfstat(x); status.st_mode")
        compared = {c for _, c, _ in used}
        self.assertLessEqual({"SO_LINGER", "sizeof(struct stat)", "offsetof(struct stat, st_mode)"}, compared)
        self.assertNotIn("fstat", compared)

    def test_an_import_that_cannot_be_read_is_no_omission(self):
        for text in ("use libc::*;", '#[cfg(target_arch = "arm")]\nuse libc::{stat};', "use libc::{statvfs};"):
            with self.subTest(text), self.assertRaises(headers.Wrong):
                self.planted_source(text)

    def test_an_architecture_can_have_a_number_of_its_own(self):
        text = 'if cfg!(target_arch = "powerpc64") { 21 } else { 17 }'
        self.assertEqual(headers.number(text, BY_NAME["powerpc64le-unknown-linux-gnu"]), 21)
        self.assertEqual(headers.number(text, LINUX), 17)

    def test_a_form_that_cannot_be_read_is_no_omission(self):
        with self.assertRaisesRegex(headers.Wrong, "cannot read"):
            headers.number("1 << SHIFT", LINUX)


if __name__ == "__main__":
    unittest.main()
