"""The quantizer, as a library: from a float model and data to a quantized model and its report."""

import os

# OpenBLAS's threads wait 30 ms in a loop for the next product, beside whatever else wants the processors; this is half
# a millisecond. It is read where NumPy is loaded, so this comes before anything of quant can load it.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "20")
