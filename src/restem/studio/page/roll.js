// A lane of notes: a piano roll, on which what was made is outlined.

import { Lane, css, fitted } from "./lanes.js";

const MARGIN = 2, LEAST_SPAN = 14; // pitches
const SHORTEST = [3, 0.13, 9]; // least pixels, seconds, most pixels, so that a stroke can be seen

export class RollLane extends Lane {
  constructor(name, title, view, player) {
    super(name, title, view, player);
    this.body.querySelector(".wave").remove();
    this.canvas.className = "roll";
    this.remove = () => { this.head.remove(); this.body.remove(); };
  }

  /** `kind` gives the colour; `notes` are rows of start, end (s), pitch, velocity, in order. */
  setNotes({ kind, notes }, outlined = false) {
    Object.assign(this, { kind, notes, outlined });
    const pitches = notes.map((note) => note[2]);
    const low = pitches.reduce((a, b) => Math.min(a, b), 127), high = pitches.reduce((a, b) => Math.max(a, b), 0);
    const more = Math.max(0, LEAST_SPAN - 1 - (high - low)) / 2;
    this.low = low - Math.max(MARGIN, Math.ceil(more));
    this.span = high + Math.max(MARGIN, Math.floor(more)) - this.low + 1;
    for (const node of [this.head, this.canvas]) node.style.setProperty("--kind", `var(--${kind})`);
    this.canvas.dataset.notes = notes.length;
    this.canvas.classList.toggle("made", outlined);
    this.recolour();
  }

  recolour() { this.colours = { fill: css(`--${this.kind}`), edge: css("--ink") }; }

  layout() { this.draw(); }

  draw() {
    if (this.hidden || !this.notes) return;
    const { context, width, height } = fitted(this.canvas);
    const { view } = this, row = height / this.span;
    const [least, seconds, most] = SHORTEST;
    const shortest = Math.min(most, Math.max(least, seconds * view.pixelsPerSecond));
    context.fillStyle = this.colours.fill;
    context.strokeStyle = this.colours.edge;
    for (const [start, end, pitch, velocity] of this.notes) {
      const x = view.x(start);
      if (x > width) break;
      const wide = Math.max(shortest, view.x(end) - x - 0.5);
      if (x + wide < 0) continue;
      const y = height - (pitch - this.low + 1) * row, high = Math.max(2.5, row - 0.5);
      context.globalAlpha = 0.45 + 0.55 * (velocity / 127);
      context.fillRect(x, y, wide, high);
      if (!this.outlined) continue;
      context.globalAlpha = 1;
      context.lineWidth = Math.min(1, wide / 7); // far away an outline must not cover its note
      context.strokeRect(x, y, wide, high);
    }
    context.globalAlpha = 1;
  }
}
