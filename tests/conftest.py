"""What all tests share: one arithmetic thread, so that small tensors are not slowed by many."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
