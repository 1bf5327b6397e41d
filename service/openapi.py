"""The published OpenAPI document; `python -m service.openapi` writes it, `--check` compares it with the code."""

import json
import sys
from pathlib import Path

from service.app import create_app

PATH = Path(__file__).parent.parent / "openapi" / "openapi.json"


def document() -> str:
    """Return the OpenAPI document of the application as JSON text."""
    return json.dumps(create_app().openapi(), indent=1) + "\n"


def main() -> int:
    """Write the document, or with `--check` return 1 if the written one is out of date."""
    if "--check" in sys.argv[1:]:
        outdated = not PATH.exists() or PATH.read_text() != document()
        if outdated:
            sys.stderr.write("openapi/openapi.json is out of date; run `make openapi` and commit it\n")
        return int(outdated)
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(document())
    return 0


if __name__ == "__main__":
    sys.exit(main())
