"""`python -m service`: start the gateway, fast."""

import gc
import sys

if __name__ == "__main__":
    gc.disable()  # the imports make objects and drop none: collections would be a seventh of the start
    from service.server import main

    sys.exit(main())
