"""ci/remote, tried on an sshd of its own: on loopback, on a free port, with keys that are thrown away.

OpenBSD's shell, also by the name of sh, is a Korn shell: here mksh takes its place.
"""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from targets import CACHE, ROOT  # noqa: E402

TARGET = "x86_64-unknown-linux-gnu"


class Remote(unittest.TestCase):
    def setUp(self):
        # Not in /tmp itself: sshd refuses keys in a folder that everybody can write to.
        self.directory = Path(tempfile.mkdtemp(prefix="sshd-", dir=CACHE))
        self.addCleanup(shutil.rmtree, self.directory)
        for name in ("host", "user"):
            key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.directory / name]
            subprocess.run(key, check=True)
        shutil.copy(self.directory / "user.pub", self.directory / "authorized")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        (self.directory / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {self.directory}/host\nPidFile none\n"
            f"AuthorizedKeysFile {self.directory}/authorized\nStrictModes no\nUsePAM no\n"
            "PasswordAuthentication no\nPermitRootLogin prohibit-password\n"
            f"SetEnv PATH={self.directory}:{os.environ['PATH']}\n"
            'ForceCommand exec sh -c "$SSH_ORIGINAL_COMMAND"\n'
        )
        (self.directory / "sh").symlink_to(shutil.which("mksh"))
        known = (self.directory / "host.pub").read_text()
        (self.directory / "known").write_text(f"[127.0.0.1]:{self.port} {known}")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        command = [shutil.which("sshd", path="/usr/sbin:/usr/bin"), "-D", "-e", "-f", self.directory / "sshd_config"]
        self.sshd = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        self.addCleanup(self.sshd.wait)
        self.addCleanup(self.sshd.terminate)
        self.wait_for_sshd()

    def wait_for_sshd(self):
        for _ in range(100):
            try:
                return socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.1)
        self.fail("sshd does not answer")

    def command(self, *arguments):
        options = ["-F", "none", "-p", self.port, "-i", self.directory / "user", "-o", f"UserKnownHostsFile={self.directory}/known"]
        command = [ROOT / "ci/remote", f"{getpass.getuser()}@127.0.0.1", *arguments, "--", *options]
        return list(map(str, command))

    def test_it_runs_everything_fetches_the_report_and_leaves_nothing(self):
        before = set(Path("/tmp").glob("unisend.*"))
        done = subprocess.run(self.command("--target", TARGET), capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("unisend-states: test result: ok.", done.stdout)
        self.assertIn("compared with tests/conformance/recorded/", done.stdout)
        self.assertGreater((CACHE / "remote/127.0.0.1.json").stat().st_size, 10_000)
        self.assertEqual(set(Path("/tmp").glob("unisend.*")), before)

    def test_it_leaves_nothing_when_it_is_ended(self):
        before = set(Path("/tmp").glob("unisend.*"))
        with subprocess.Popen(self.command("--target", TARGET), stdout=subprocess.PIPE, text=True) as running:
            for line in running.stdout:
                if "test result: ok." in line:
                    break
            running.terminate()
            running.communicate(timeout=30)
        self.assertEqual(running.returncode, 143)
        self.assertEqual(set(Path("/tmp").glob("unisend.*")), before)
        self.assertEqual([folder for folder in working_folders() if folder.startswith("/tmp/unisend.")], [])

    def test_a_wrong_call_says_how(self):
        done = subprocess.run([ROOT / "ci/remote"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("ci/remote USER@HOST [--target TARGET]", done.stderr)


def working_folders():
    """Where each process works, as far as this one may know."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            yield os.readlink(process / "cwd")
        except OSError:
            pass


if __name__ == "__main__":
    unittest.main()
