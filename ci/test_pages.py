"""The site of reports has a page for each, and a new report takes the place of the recorded one."""

import json
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

CI = Path(__file__).parent
RECORDED = sorted((CI.parent / "tests/conformance/recorded").glob("*.json"))


class Pages(unittest.TestCase):
    def test_each_report_is_a_page_that_the_index_names(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            report = json.loads(RECORDED[0].read_text())
            report["summary"] = {"passed": 7, "failed": 1, "skipped": 0}
            named = Path(folder, "reports/deep")
            named.mkdir(parents=True)
            (named / "conformance.json").write_text(json.dumps(report))
            (named / "matrix.json").write_text("[]")
            site = Path(folder, "site")
            subprocess.run([CI / "pages", site, named.parent], check=True, capture_output=True)

            index = (site / "index.html").read_text()
            links = re.findall(r'href="([^"]*)"', index)
            self.assertEqual(len(set(links)), len(RECORDED))
            self.assertEqual({path.name for path in site.iterdir()}, {*links, "index.html"})
            self.assertEqual(index.count("7 passed, 1 failed"), 1)


if __name__ == "__main__":
    unittest.main()
