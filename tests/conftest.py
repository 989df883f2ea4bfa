"""What all tests share: one arithmetic thread, which suits small tensors, and no model hub.

And Ctrl-C and a closed terminal: what a shell or nohup starts in the background ignores them, and
so would all that tests start.
"""

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):  # Windows has none
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
