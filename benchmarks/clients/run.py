"""Generate clients from the OpenAPI document and run a job with each on a real service.

    make clients

Each client uploads the example model, submits a job, waits for its end, and downloads and verifies the model. The
generators are openapi-generator (python, typescript-fetch) and @hey-api/openapi-ts; a test does the same with
openapi-python-client. They need npm and Java. The Python generator of openapi-generator 7.26 writes no types for the
parameters of webhooks, which is a syntax error: it reads the document without them.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from jobs.stack import Stack

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
DOCUMENT = ROOT / "openapi" / "openapi.json"
MODEL = ROOT / "examples" / "digits.onnx"


def generators(folder: Path) -> dict[str, list[Sequence[str | Path]]]:
    """Return the commands that generate each client and run its job, by its name; URL stands for the service's."""
    (jar,) = ROOT.glob(".lint/lib/python3*/site-packages/openapi_generator_cli/openapi-generator.jar")
    without_webhooks = folder / "without_webhooks.json"
    without_webhooks.write_text(json.dumps({**json.loads(DOCUMENT.read_text()), "webhooks": {}}))
    generate = ["java", "-jar", jar, "generate", "-i"]
    tools = folder / "node_modules" / ".bin"
    return {
        "openapi-generator python": [
            [
                *generate,
                without_webhooks,
                "-g",
                "python",
                "-o",
                folder / "python",
                "--additional-properties",
                "packageName=quantd_api",
            ],
            [sys.executable, HERE / "openapi_generator.py", "URL", MODEL, folder / "python"],
        ],
        "openapi-generator typescript-fetch": [
            [*generate, DOCUMENT, "-g", "typescript-fetch", "-o", folder / "fetch_api"],
            [tools / "tsx", folder / "typescript_fetch.ts", "URL", MODEL],
        ],
        "@hey-api/openapi-ts": [
            [tools / "openapi-ts", "-i", DOCUMENT, "-o", folder / "hey_api", "-c", "@hey-api/client-fetch"],
            [tools / "tsx", folder / "hey_api.ts", "URL", MODEL],
        ],
    }


def main() -> int:
    """Run all clients; return the number of those that failed."""
    failed = 0
    with tempfile.TemporaryDirectory() as name, Stack(Path(name, "state")) as stack:
        folder = Path(name, "clients")
        folder.mkdir()
        for source in (*HERE.glob("*.ts"), HERE / "package.json"):
            shutil.copy(source, folder)
        install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"]
        subprocess.run(install, cwd=folder, check=True)
        for client, commands in generators(folder).items():
            for command in commands:
                words = [stack.url if word == "URL" else str(word) for word in command]
                result = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
                if result.returncode:
                    failed += 1
                    print(f"{client}: failed\n{result.stdout[-3000:]}{result.stderr[-3000:]}")
                    break
            else:
                print(f"{client}: {result.stdout.strip()}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
