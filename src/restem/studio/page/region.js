// The region panel: which part of the song is looped, or filled alone.

import { LEAST } from "./overlay.js";

const $ = (id) => document.getElementById(id);

export class RegionPanel {
  /** `songOf` gives the song, `takeOf` the number of the take that is heard, or nothing. */
  constructor(overlay, songOf, takeOf) {
    Object.assign(this, { overlay, songOf, takeOf });
    overlay.addEventListener("region", () => this.show());
    $("region-only").onchange = () => this.words();
    $("region-start").onchange = $("region-end").onchange = () => this.#fromFields();
    $("region-from-here").onclick = () => this.fromHere();
    $("region-to-here").onclick = () => this.toHere();
    $("region-clear").onclick = () => overlay.setRegion(null);
    $("region-bars").onclick = () => this.#snap();
  }

  get #end() { return this.songOf().seconds; }
  get #here() { return this.overlay.player.position; }

  /** What to fill alone, or null. */
  get toFill() { return $("region-only").checked ? this.overlay.region : null; }

  show() {
    const { region } = this.overlay;
    $("region-start").value = region ? region.start.toFixed(2) : "";
    $("region-end").value = region ? region.end.toFixed(2) : "";
    $("region-only").disabled = !region;
    if (!region) $("region-only").checked = false;
    this.words();
  }

  words() {
    const { region } = this.overlay, notes = this.songOf()?.kind === "notes";
    let words = "Drag over the lanes to select a part.";
    if (region) words = `${(region.end - region.start).toFixed(2)} s selected.`;
    if (this.toFill && notes) words += " The bars that it touches are filled; elsewhere the part rests.";
    else if (this.toFill) {
      words += this.takeOf() ? ` Outside it take ${this.takeOf()} stays as it is.` : " Outside it there will be silence.";
    }
    $("region-words").textContent = words;
  }

  fromHere() {
    const at = this.#here, end = this.overlay.region?.end ?? this.#end;
    this.overlay.setRegion({ start: at, end: end > at + LEAST ? end : this.#end });
  }

  toHere() {
    const at = this.#here, from = this.overlay.region?.start ?? 0;
    this.overlay.setRegion({ start: from < at - LEAST ? from : 0, end: at });
  }

  #fromFields() {
    const value = (id, other) => ($(id).value === "" ? other : Number($(id).value));
    const start = Math.max(0, value("region-start", 0)), end = value("region-end", this.#end);
    this.overlay.setRegion({ start: Math.min(start, this.#end), end: Math.min(end, this.#end) });
  }

  #snap() {
    const { region, grid } = this.overlay;
    if (!region) return;
    const marks = [0, ...grid.times.filter((t, i) => grid.positions[i] === 1 && t > 0 && t < this.#end), this.#end];
    const near = (at) => marks.reduce((best, mark) => (Math.abs(mark - at) < Math.abs(best - at) ? mark : best));
    const start = near(region.start);
    let end = near(region.end);
    if (end <= start) end = marks.find((mark) => mark > start) ?? this.#end;
    this.overlay.setRegion({ start, end });
  }
}
