"""Let schemathesis attack every documented route of a real service, with all its checks.

    python benchmarks/serving/schema_fuzz.py BUNDLE --program FILE [--seconds 120] [--seed 1]

`--program` is schemathesis in an environment of its own, for it pins what the lab needs newer. Exit
0: no server error, no undocumented answer, no way around the key, no wrong answer to a method.
"""

import argparse
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from mlops_lab.foundation.settings import Settings
from mlops_lab.serving.launcher import running_service

KEY = "only for this run"
# A tensor's shape must fit its data, and labels of a feedback have 200 characters together, which
# JSON Schema cannot say: for these routes a refusal of a request that fits the schema is right.
# Every other check holds for them too.
CONFIG = """
[[operations]]
include-path-regex = "/(infer|feedback)$"
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "404", "409", "422", "429"]
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--seed", type=int, help="which cases; default others every time")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        (Path(folder) / "schemathesis.toml").write_text(CONFIG)
        own = Settings(project=Path(folder), workspace=Path(folder) / "lab")
        own = replace(own, api_key=KEY)
        with running_service(own, bundle=options.bundle.resolve()) as client:
            command = [options.program, "run", f"{client.address}/openapi.json"]
            command += ["--header", f"x-api-key: {KEY}", "--checks", "all", "--no-color"]
            command += ["--max-time", str(options.seconds), "--continue-on-failure"]
            command += ["--seed", str(options.seed)] if options.seed is not None else []
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            print(done.stdout)
            sys.exit(done.returncode or not client.ready())


if __name__ == "__main__":
    main()
