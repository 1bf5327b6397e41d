"""`python -m quant.kernel`: compile every loop into the cache, so that no job has to."""

from quant.kernel.cache import complete
from quant.kernel.load import load_all

if __name__ == "__main__":
    load_all()
    complete()
