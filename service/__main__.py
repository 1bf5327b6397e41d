"""Entry point of `python -m service`, which starts the gateway."""

import gc
import sys

if __name__ == "__main__":
    gc.disable()  # imports create objects and drop none: garbage collection would take a seventh of the start
    from service.server import main

    sys.exit(main())
