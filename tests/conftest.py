"""What all tests share: one arithmetic thread, which suits small tensors, and no model hub.

And Ctrl-C: what a shell starts in the background ignores it, and so would all that tests start.
"""

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
signal.signal(signal.SIGINT, signal.default_int_handler)
