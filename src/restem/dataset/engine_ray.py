"""A function and many items in, each item's result out: the engine for a cluster, by Ray Data."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from restem.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Worker:
    """An actor: what the function loads, it keeps for the next item."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"result": pickle.dumps(self._function(pickle.loads(row["item"])))}
        except UserError as error:  # Ray would wrap it in a page of text
            return {"result": pickle.dumps(error)}


def over_ray(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, on_gpu: bool = False
) -> Iterator[Result]:
    """Results in no fixed order, from `workers` actors; with `on_gpu` each takes a GPU, if any.

    Takes the cluster that RAY_ADDRESS names, or starts a local one. All machines must see the
    same folders. UserError without Ray; one that the function raises ends the work.
    """
    try:
        import ray
        import ray.data
    except ModuleNotFoundError:
        raise UserError(
            "The engine ray needs the package ray; install it with pip install 'restem[cluster]'."
        ) from None
    todo = [{"item": pickle.dumps(item)} for item in items]
    if not todo:
        return
    if not ray.is_initialized():
        try:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # Ray raises plain exceptions where a node is slow to start
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(f"Ray did not start ({reason[:120].rstrip('.')}); try again.") from None
    ray.data.DataContext.get_current().enable_progress_bars = False
    rows = ray.data.from_items(todo, override_num_blocks=min(len(todo), workers * 8))
    worker: Any = _Worker  # Ray takes a class here, which its own types do not say
    done = rows.map(
        worker,
        fn_constructor_args=(function,),
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_gpus=1 if on_gpu and ray.cluster_resources().get("GPU") else None,
    )
    for row in done.iter_rows():
        result = pickle.loads(row["result"])
        if isinstance(result, UserError):
            raise result
        yield result
