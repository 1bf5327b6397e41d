"""`python -m quant`: the process of one job; see `quant.process`."""

import sys

from quant.process import main

if __name__ == "__main__":
    sys.exit(main())
