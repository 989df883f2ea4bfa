// What plays and shows a song of notes: the new part, then a lane for each of its tracks.

import * as api from "./api.js";
import { NotePlayer } from "./note_player.js";
import { RollLane } from "./roll.js";

const MADE = "made";
const NOTHING = { channel: 0, kind: "other", program: null, notes: [] };

const titleOf = (track) => track.name || `${track.kind === "other" ? "Track" : track.kind} ${track.number}`;

export class NotesDeck {
  constructor(view) { Object.assign(this, { view, player: new NotePlayer(), lanes: [] }); }

  /** Fetch what a song needs; then a function that shows it. */
  async fetch({ id, seconds }) {
    const { tracks } = await api.getJson(`/api/songs/${id}/notes`);
    return async () => {
      const named = { [MADE]: NOTHING };
      tracks.forEach((track, i) => { named[`track-${i}`] = track; });
      await this.player.setSong(named, seconds);
      this.close();
      this.lanes = Object.entries(named).map(([name, track]) => {
        const lane = new RollLane(name, name === MADE ? "New part" : titleOf(track), this.view, this.player);
        lane.setNotes(track, name === MADE);
        return lane;
      });
      this.lanes[0].hidden = true;
      this.open();
    };
  }

  close() { this.player.pause(); for (const lane of this.lanes) lane.remove(); this.lanes = []; }
  open() { for (const lane of this.lanes) { lane.show(); lane.draw(); } }

  /** Play and show a take, or none; `wanted` tells whether it still is. */
  async choose(base, wanted) {
    const notes = base ? await api.getJson(`${base}/notes`) : { stem: "other", ...NOTHING };
    if (!wanted()) return;
    const part = { ...notes, kind: notes.stem }, [lane] = this.lanes;
    lane.setTitle(base ? `New ${notes.stem}` : "New part");
    lane.hidden = !base;
    lane.setNotes(part, true);
    await this.player.setTrack(MADE, part);
    lane.draw();
  }

  preview() {} // notes come all at once
}
