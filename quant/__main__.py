"""Entry point of `python -m quant`, the process of one job; `quant.job_process` describes it."""

import sys

from quant.job_process import main

if __name__ == "__main__":
    sys.exit(main())
