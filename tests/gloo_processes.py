"""What a process of two on one machine needs before it trains, as a launcher would give it."""

import os


def join(rank, port):
    """Become process `rank` of two that meet at a port, without a GPU."""
    from accelerate.state import AcceleratorState, GradientState

    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2",
             "LOCAL_WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank),
             "ACCELERATE_USE_CPU": "true"}  # fmt: skip
    os.environ.update(place)
    AcceleratorState._reset_state(True)
    GradientState._reset_state()
