"""`python -m quant`: start the process of one job, fast; see `quant.process`."""

import gc
import sys

if __name__ == "__main__":
    gc.disable()  # the imports make objects and drop none: collections would be a sixth of the start
    from quant.process import main

    sys.exit(main())
