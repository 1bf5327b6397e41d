"""The tests. They run beside each other, so NumPy computes in one thread in them.

On a busy machine, threads of OpenBLAS that wait for one another double the processor time of products of matrices.
Services that tests start set their own number of threads.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy reads it when it is loaded
