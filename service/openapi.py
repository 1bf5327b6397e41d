"""`python -m service.openapi [--check]`: write the published contract, or say that it is stale."""

import json
import sys
from pathlib import Path

from service.app import create_app

PATH = Path(__file__).parent.parent / "openapi" / "openapi.json"


def document() -> str:
    return json.dumps(create_app().openapi(), indent=1) + "\n"


def main() -> int:
    if "--check" in sys.argv[1:]:
        stale = not PATH.exists() or PATH.read_text() != document()
        if stale:
            sys.stderr.write("openapi/openapi.json is stale; run `make openapi` and commit it\n")
        return int(stale)
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(document())
    return 0


if __name__ == "__main__":
    sys.exit(main())
