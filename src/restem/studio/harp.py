"""A song and controls from the HARP plug-in in, stem and mix out, through a Gradio endpoint.

HARP (a plug-in host for DAWs) asks a Gradio server for three named calls: `controls` describes the
model and its controls in JSON, `process` takes them in that order and answers with files, `cancel`
stops. The names and fields are those of HARP 3 (pyharp 0.3).
"""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restem.errors import UserError
from restem.studio.correcting import corrected
from restem.studio.records import Correction, Grid, JobRequest, Limits, new_id
from restem.studio.store import suffix_of
from restem.studio.worker_process import WorkerProcess

CARD = {
    "name": "restem",
    "description": "Puts a missing drum stem into a song, guided by a sentence. Runs on this "
    "computer; the mix minus the stem is your song, sample for sample.",
    "author": "restem",
    "tags": ["category:generation", "subcategory:accompaniment", "drums", "text"],
}
# As HARP wants them described; the order is that of the arguments of `process`.
INPUTS: list[dict[str, Any]] = [
    {"type": "audio_track", "label": "Song", "info": "the song without drums", "required": True},
    {"type": "text_box", "label": "Sentence", "info": "what to play",
     "value": "Add laid-back funk drums"},
    {"type": "number_box", "label": "Seed", "info": "another seed plays another version",
     "minimum": 0, "maximum": 2**31, "step": 1, "value": 0},
    {"type": "number_box", "label": "Tempo", "info": "beats a minute; 0 listens for it",
     "minimum": 0, "maximum": 400, "step": 0.01, "value": 0},
    {"type": "slider", "label": "Shift", "info": "downbeats later by this many beats",
     "minimum": -4, "maximum": 4, "step": 0.5, "value": 0},
    {"type": "number_box", "label": "Steps", "info": "of denoising; 0 takes the model's usual",
     "minimum": 0, "maximum": 200, "step": 1, "value": 0},
]  # fmt: skip
OUTPUTS: list[dict[str, Any]] = [
    {"type": "audio_track", "label": "Drums", "info": "the stem alone", "required": True},
    {"type": "audio_track", "label": "Mix", "info": "the song with the stem", "required": True},
]


@dataclass
class Bench:
    """One worker process and a folder for what it makes; a new song clears the last one's.

    Gradio hands out all in the folder, so each request's files lie where nobody can guess.
    """

    folder: Path
    limits: Limits
    worker: WorkerProcess

    async def process(
        self, song: str, sentence: str, seed: float, tempo: float, shift: float, steps: float
    ) -> tuple[str, str]:
        """The paths of stem and mix. Raises UserError with a sentence for HARP's user."""
        if not song:
            raise UserError("Give the song as an audio track.")
        shutil.rmtree(self.folder, ignore_errors=True)
        place = self.folder / new_id()
        place.mkdir(parents=True)
        upload = place / f"song{suffix_of(song)}"
        shutil.copyfile(song, upload)
        facts = await self._prepared(upload, Path(song).name)
        try:
            correction = Correction(bpm=tempo or None, shift=shift)
            request = JobRequest(
                song=new_id(), instruction=sentence, seed=int(seed), steps=int(steps) or None
            )
        except ValueError as error:
            raise UserError(f"These controls do not fit: {error}") from None
        grid = corrected(Grid(**facts["tracked"]), correction, facts["seconds"])
        take = place / "take"
        await self._done(
            task="make", upload=str(upload), name=Path(song).name, folder=str(take),
            request=request.model_dump(), seed=request.seed, grid=grid.model_dump(),
            base_stem=None,
        )  # fmt: skip
        return str(take / "song.drums.wav"), str(take / "song.mix.wav")

    async def _prepared(self, upload: Path, name: str) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self.limits.prepare_seconds):
                return await self._done(
                    task="prepare", upload=str(upload), name=name,
                    longest_seconds=self.limits.song_seconds,
                )  # fmt: skip
        except TimeoutError:
            await self.worker.kill()
            raise UserError(f"{name} took too long to decode; convert it to WAV or FLAC.") from None

    async def cancel(self) -> None:
        """Stop at once."""
        await self.worker.kill()

    async def _done(self, **task: Any) -> dict[str, Any]:
        done: dict[str, Any] = {}
        async for message in self.worker.messages(task):
            done = message.get("done", done)
        return done


def make_blocks(folder: Path, limits: Limits) -> Any:
    """The Gradio application; it asks nothing of the network."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio as gr

    folder.mkdir(parents=True, exist_ok=True)
    worker = WorkerProcess(limits.worker_bytes, folder / "temporary")
    bench = Bench(folder / "work", limits, worker)

    async def process(*values: Any) -> tuple[str, str]:
        try:
            return await bench.process(*values)
        except UserError as error:
            raise gr.Error(str(error)) from None

    with gr.Blocks(
        title="restem for HARP", analytics_enabled=False, delete_cache=(600, 3600)
    ) as page:
        inputs = [_component(gr, one) for one in INPUTS]
        outputs = [_component(gr, one) for one in OUTPUTS]
        description = gr.JSON(visible=False)
        gr.Button("Controls", visible=False).click(
            lambda: {"card": CARD, "inputs": INPUTS, "outputs": OUTPUTS},
            [], description, api_name="controls",
        )  # fmt: skip
        running = gr.Button("Process").click(
            process, inputs, outputs, api_name="process", concurrency_limit=1
        )
        gr.Button("Cancel").click(bench.cancel, [], [], api_name="cancel", cancels=[running])
    return page


def _component(gr: Any, one: dict[str, Any]) -> Any:
    """The Gradio component of a control's description."""
    if one["type"] == "audio_track":
        return gr.Audio(type="filepath", label=one["label"])
    if one["type"] == "text_box":
        return gr.Textbox(one["value"], label=one["label"], info=one["info"])
    kind = gr.Slider if one["type"] == "slider" else gr.Number
    numbers = {name: one[name] for name in ("value", "minimum", "maximum", "step")}
    return kind(label=one["label"], info=one["info"], **numbers)


def serve(folder: Path, host: str, port: int) -> str:
    """Serve until Ctrl-C elsewhere; the address. Raises UserError if the port is taken."""
    from starlette.middleware import Middleware

    from restem.studio.guard import Door

    limits = Limits()
    try:
        _, address, _ = make_blocks(folder, limits).launch(
            server_name=host, server_port=port, share=False, quiet=True, inbrowser=False,
            prevent_thread_lock=True, max_file_size=limits.upload_bytes, footer_links=[],
            allowed_paths=[str(folder / "work")], show_error=True,
            app_kwargs={"middleware": [Middleware(Door)]},
        )  # fmt: skip
    except OSError as error:
        raise UserError(f"HARP's port {port} cannot be used ({error}); choose another.") from None
    return str(address)
