// The sentence box, and buttons that put words of the models' vocabulary into it.

const $ = (id) => document.getElementById(id);
const KINDS = { dynamics: "Dynamics", density: "Density", feel: "Feel", kit: "Kit" }; // in English order
const USUAL = {
  drums: "Add laid-back funk drums", bass: "Add a funky bass line", guitar: "Add a soft bossa nova guitar part",
  keys: "Add a gentle piano part", notes: "funk",
};
const STYLES = ["bossa nova", "swing", "rock", "disco", "reggae", "country", "ballad", "waltz"];
const NOUN = /\b(drums?|beat|groove|drumming|percussion|bass|guitar|piano|keys|keyboard|organ)\b/i;
const escaped = (word) => word.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
const whole = (word) => new RegExp(`(?<![\\w-])${escaped(word)}(?![\\w-])`, "i");

export class Sentence {
  constructor(vocabulary) {
    this.words = vocabulary.words;
    this.styles = [...vocabulary.styles].sort((a, b) => b.length - a.length); // longest match first
    this.box = $("sentence");
    this.buttons = [];
    this.texts = { ...USUAL };
    this.#examples("Try", "for-audio for-drums", vocabulary.examples);
    this.#examples("Styles", "for-notes", STYLES.filter((style) => vocabulary.styles.includes(style)));
    for (const [kind, title] of Object.entries(KINDS)) {
      const row = this.#row(title, kind === "feel" || kind === "kit" ? "for-audio for-drums" : "for-audio");
      for (const word of this.words[kind]) {
        const button = this.#button(row, word);
        button.onclick = () => this.toggle(kind, word);
        this.buttons.push({ button, word });
      }
    }
    for (const style of vocabulary.styles) $("style").append(new Option(style, style));
    $("style").onchange = () => this.setStyle($("style").value);
    this.box.addEventListener("input", () => this.mark());
    this.mark();
  }

  /** A song of notes is told a style, a stem of sound a sentence; each keeps its own. */
  setKind(kind, stem) {
    if (this.kind) this.texts[this.kind] = this.box.value;
    this.kind = kind === "notes" ? kind : stem;
    this.box.value = this.texts[this.kind];
    this.mark();
  }

  /** Put a word in, in the place where English has it, instead of its rivals; or take it out. */
  toggle(kind, word) {
    const there = whole(word).test(this.box.value);
    for (const rival of this.words[kind]) this.#drop(rival);
    if (!there) {
      const later = Object.keys(KINDS).slice(Object.keys(KINDS).indexOf(kind) + 1);
      const after = later.flatMap((other) => this.words[other]).concat(this.#style() ?? []);
      this.#insert(word, after);
    }
    this.mark();
  }

  setStyle(style) {
    const old = this.#style();
    if (old && style) this.box.value = this.box.value.replace(whole(old), style);
    else if (old) this.#drop(old);
    else if (style) this.#insert(style, []);
    this.mark();
  }

  mark() {
    for (const { button, word } of this.buttons) {
      button.setAttribute("aria-pressed", whole(word).test(this.box.value));
    }
    $("style").value = this.#style() ?? "";
  }

  #style() { return this.styles.find((style) => whole(style).test(this.box.value)); }

  #drop(word) {
    this.box.value = this.box.value.replace(whole(word), "").replace(/\s+/g, " ").trim();
  }

  #insert(word, before) {
    const text = this.box.value;
    const places = before.map((other) => text.search(whole(other))).filter((at) => at >= 0);
    const noun = text.search(NOUN);
    if (noun >= 0) places.push(noun);
    const at = places.length ? Math.min(...places) : text.length;
    this.box.value = `${text.slice(0, at)} ${word} ${text.slice(at)}`.replace(/\s+/g, " ").trim();
  }

  #examples(title, kind, examples) {
    const row = this.#row(title, kind);
    for (const example of examples) {
      const button = this.#button(row, example);
      button.onclick = () => { this.box.value = example; this.mark(); };
    }
  }

  #row(title, kind) {
    const row = document.createElement("div"), name = document.createElement("span");
    const box = document.createElement("div");
    row.className = `chip-row ${kind}`;
    name.textContent = title;
    name.id = `chips-${title}`;
    box.setAttribute("role", "group");
    box.setAttribute("aria-labelledby", name.id);
    row.append(name, box);
    $("chips").append(row);
    return box;
  }

  #button(row, words) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = words;
    row.append(button);
    return button;
  }
}
