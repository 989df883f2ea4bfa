// Songs that come, as files chosen or dropped; and those that are here, as the welcome lists them:
// to open, still being read, or not readable.

import { getJson, remove, upload } from "./api.js";

const $ = (id) => document.getElementById(id);
export const time = (s) => `${Math.floor(s / 60)}:${(s % 60).toFixed(1).padStart(4, "0")}`;

function element(name, className, ...content) {
  const node = document.createElement(name);
  node.className = className;
  node.append(...content);
  if (name === "button") node.type = "button";
  return node;
}

/** What gives the focus back to the button that has it now, after the list is made anew. */
function focused() {
  const now = document.activeElement, song = now?.closest("#recent-songs li")?.dataset.song;
  return () => { if (song) $("recent-songs").querySelector(`[data-song="${song}"] .${now.className}`)?.focus(); };
}

/** Dispatches `open` (also for what was sent) and, before it deletes, `delete`, with a song's id. */
export class Songs extends EventTarget {
  constructor(report, calm) {
    super();
    Object.assign(this, { report, calm, asked: 0 });
    $("file").onchange = () => { if ($("file").files[0]) this.#take($("file").files[0]); $("file").value = ""; };
    for (const kind of ["dragover", "dragleave", "drop"]) {
      addEventListener(kind, (event) => {
        event.preventDefault();
        $("drop").classList.toggle("over", kind === "dragover");
        if (kind === "drop" && event.dataTransfer?.files[0]) this.#take(event.dataTransfer.files[0]);
      });
    }
  }

  async #take(file) {
    this.calm();
    const tell = (fraction) => this.uploading(`Sending ${file.name}`, fraction);
    tell(0);
    try { this.#tell("open", (await upload(file, tell)).id); }
    catch (error) { this.report(error); $("uploading").hidden = true; }
  }

  /** What happens to a new song, and how much of that is done if there is a measure. */
  uploading(words, fraction) {
    $("uploading").hidden = false;
    $("upload-words").textContent = words;
    if (fraction === undefined) $("upload-bar").removeAttribute("value");
    else $("upload-bar").value = fraction;
  }

  async show() {
    const asked = ++this.asked, songs = await getJson("/api/songs");
    if (asked !== this.asked) return; // it was asked again, and that answer is newer
    const focus = focused();
    $("recent").hidden = !songs.length;
    $("recent-songs").replaceChildren(...songs.map((one) => this.#item(one)));
    focus();
  }

  #tell(kind, id) { this.dispatchEvent(new CustomEvent(kind, { detail: id })); }

  #item({ id, name, state, error, seconds }) {
    const failed = state === "failed";
    const words = failed ? error : state === "ready" ? time(seconds) : "being read";
    const go = element(failed ? "div" : "button", failed ? "failed" : "open",
      element("span", "", name), element("small", "", words));
    if (!failed) go.onclick = () => this.#tell("open", id);
    const drop = element("button", "delete", "Delete");
    drop.setAttribute("aria-label", `Delete ${name}`);
    drop.onclick = async () => {
      if (!confirm(`Delete ${name} and everything that was made for it?`)) return;
      this.#tell("delete", id);
      try { await remove(`/api/songs/${id}`); await this.show(); } catch (wrong) { this.report(wrong); }
    };
    const item = element("li", "", go, drop);
    item.dataset.song = id;
    return item;
  }
}
