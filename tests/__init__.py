"""The tests. They run beside each other, so NumPy and PyTorch compute in one thread in them.

On a busy machine, threads that wait actively for one another take several times the processor time of one thread.
Services that tests start set their own number of threads.
"""

import os

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # read when the libraries are loaded
