// Over all lanes: beats, the region, the play-head; and what a pointer does there.

import { css, fitted } from "./lanes.js";

const EDGE = 7; // pixels within which an edge is taken hold of
export const LEAST = 0.1; // seconds

export class Overlay extends EventTarget {
  constructor(view, player) {
    super();
    Object.assign(this, { view, player, grid: null, region: null });
    this.canvas = document.getElementById("overlay-canvas");
    this.ruler = document.getElementById("ruler-canvas");
    for (const canvas of [this.canvas, this.ruler]) this.#listen(canvas);
    this.recolour();
  }

  recolour() {
    const names = ["beat", "downbeat", "region", "region-edge", "head", "faint"];
    this.colours = Object.fromEntries(names.map((name) => [name, css(`--${name}`)]));
  }

  setRegion(region) {
    this.region = region && region.end - region.start >= LEAST ? region : null;
    this.dispatchEvent(new Event("region"));
    this.draw();
  }

  draw() {
    const { context, width, height } = fitted(this.canvas);
    const { colours, view } = this;
    this.#drawRuler();
    if (this.region) {
      const from = view.x(this.region.start), to = view.x(this.region.end);
      context.fillStyle = colours.region;
      context.fillRect(from, 0, to - from, height);
      context.fillStyle = colours["region-edge"];
      context.fillRect(from - 1, 0, 2, height);
      context.fillRect(to - 1, 0, 2, height);
    }
    this.#eachBeat((x, position, sparse, number, few) => {
      if (position === 1 ? few : sparse) return;
      context.fillStyle = position === 1 ? colours.downbeat : colours.beat;
      context.globalAlpha = position === 1 ? 0.8 : 0.6;
      context.fillRect(Math.round(x), 0, 1, height);
    });
    context.globalAlpha = 1;
    this.drawn = view.x(this.player.position);
    context.fillStyle = colours.head;
    context.fillRect(this.drawn - 1, 0, 2, height);
    if (width && this.player.duration) this.canvas.dataset.position = this.player.position.toFixed(3);
  }

  #drawRuler() {
    const { context, height } = fitted(this.ruler);
    const { colours } = this;
    context.font = "11px system-ui, sans-serif";
    let free = -1e9;
    this.#eachBeat((x, position, sparse, number, few) => {
      if (few) return;
      if (position !== 1) {
        if (!sparse) { context.fillStyle = colours.downbeat; context.fillRect(Math.round(x), height - 5, 1, 5); }
        return;
      }
      context.fillStyle = colours.downbeat;
      context.fillRect(Math.round(x), height - 10, 1, 10);
      if (x < free) return;
      context.fillStyle = colours.faint;
      context.fillText(String(number), x + 3, height - 9);
      free = x + 30;
    });
  }

  /** Calls back with x, the position in the bar, whether single beats are too close, the bar, and
   * whether bars are so close that this one is left out. */
  #eachBeat(call) {
    if (!this.grid) return;
    const { times, positions } = this.grid, { view } = this;
    const sparse = (view.pixelsPerSecond * 60) / this.grid.bpm < 7;
    const barWidth = (view.pixelsPerSecond * 60 * this.grid.beats_per_bar) / this.grid.bpm;
    const step = 2 ** Math.max(0, Math.ceil(Math.log2(12 / barWidth)));
    let bar = 0;
    for (let i = 0; i < times.length; i++) {
      if (positions[i] === 1) bar++;
      const x = view.x(times[i]);
      if (x < -40) continue;
      if (x > view.width + 5) break;
      call(x, positions[i], sparse, bar, (bar - 1) % step !== 0);
    }
  }

  #listen(canvas) {
    const at = (event) => event.clientX - canvas.getBoundingClientRect().left;
    let hold = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.player.duration) return;
      canvas.setPointerCapture(event.pointerId);
      const x = at(event);
      hold = { x, time: this.view.time(x), moved: false, touch: event.pointerType === "touch", left: this.view.left, ...this.#edge(x) };
    });
    canvas.addEventListener("pointermove", (event) => {
      const x = at(event);
      canvas.style.cursor = hold?.side || this.#edge(x).side ? "ew-resize" : "text";
      if (!hold || (!hold.moved && Math.abs(x - hold.x) < 4)) return;
      hold.moved = true;
      if (hold.touch && !hold.side) { this.view.scrollTo(hold.left - (x - hold.x)); return; }
      const fixed = hold.side ? hold.other : hold.time, now = this.view.time(x);
      this.setRegion({ start: Math.min(fixed, now), end: Math.max(fixed, now) });
    });
    const end = (event) => {
      if (hold && !hold.moved && event.type === "pointerup") this.player.seek(hold.time);
      hold = null;
    };
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
    canvas.addEventListener("wheel", (event) => {
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        this.view.setZoom(this.view.zoom * 1.15 ** (-event.deltaY / 50), this.view.time(at(event)));
      } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) {
        event.preventDefault();
        this.view.scrollTo(this.view.left + (event.deltaX || event.deltaY));
      }
    }, { passive: false });
  }

  #edge(x) {
    if (!this.region) return {};
    const { start, end } = this.region;
    if (Math.abs(x - this.view.x(start)) < EDGE) return { side: "start", other: end };
    if (Math.abs(x - this.view.x(end)) < EDGE) return { side: "end", other: start };
    return {};
  }
}
