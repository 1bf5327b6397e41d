"""`python -m quant`: the process of one job; see `quant.job_process`."""

import sys

from quant.job_process import main

if __name__ == "__main__":
    sys.exit(main())
