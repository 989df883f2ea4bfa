// The page: puts song, player, lanes, beats, sentence and takes together.

import * as api from "./api.js";
import { Beats } from "./beats.js";
import { listenForKeys } from "./keys.js";
import { NotesDeck } from "./notes_deck.js";
import { Overlay } from "./overlay.js";
import { RegionPanel } from "./region.js";
import { Sentence } from "./sentence.js";
import { Songs, time } from "./songs.js";
import { SoundDeck } from "./sound_deck.js";
import { Takes } from "./takes.js";
import { View } from "./view.js";

const $ = (id) => document.getElementById(id);
const view = new View($("scrollbar"), $("scroll-width"));
const decks = { audio: new SoundDeck(view), notes: new NotesDeck(view) };
let deck = decks.audio, { player } = deck; // those of the song that is open
const overlay = new Overlay(view, player);
const takes = new Takes(report);
const beats = new Beats(player, report);
const region = new RegionPanel(overlay, () => song, () => takeToFill()?.take);
const songs = new Songs(report, calm);
let song = null, opening = null, current = null, lane = 0, waiting = null, frame = 0;

function report(error) {
  $("alert").textContent = error.message;
  $("alert").hidden = false;
}
function calm() { $("alert").hidden = true; }
const say = (words) => { $("live").textContent = words; };

// ---- which song, which take: in the address, so that a reload finds them ----

function remember() {
  const words = new URLSearchParams();
  const { id, job, take: number } = opening ?? { id: song?.id, ...takes.chosen };
  if (id) words.set("song", id);
  if (id && job) { words.set("job", job); words.set("take", number); }
  history.replaceState(null, "", words.size ? `#${words}` : location.pathname);
}

async function open() {
  const words = new URLSearchParams(location.hash.slice(1));
  if (words.get("song")) {
    try { await openSong(words.get("song"), { job: words.get("job"), take: Number(words.get("take")) }); return; }
    catch (error) { report(error); }
  }
  await welcome();
}

async function welcome() {
  player.pause();
  if (song && opening?.id === song.id) opened(); // left before all of it was there
  song = null;
  remember();
  for (const id of ["workspace", "other-song"]) $(id).hidden = true;
  $("welcome").hidden = false;
  $("song-name").textContent = "";
  await songs.show();
}

songs.addEventListener("open", ({ detail }) => openSong(detail).catch(report));
songs.addEventListener("delete", ({ detail }) => { if (opening?.id === detail) opened(); });

// ---- opening a song ----

/** Wait until a song is prepared: told by an event, and asked now and then in case one is lost. */
async function prepared(mine) {
  for (let told = false; ; told = true) {
    const found = await api.getJson(`/api/songs/${mine.id}`);
    if (opening !== mine) return null;
    if (found.state === "failed") throw new Error(found.error);
    if (found.state === "ready") return found;
    songs.uploading("Reading it, and listening for the beat");
    if (!told) say("Reading the song");
    if (!told && !song) await welcome();
    await new Promise((go) => { waiting = go; setTimeout(go, 1000); });
    if (opening !== mine) return null;
  }
}

/** Nothing is being opened any more. */
function opened() {
  opening = null;
  $("uploading").hidden = true;
  remember();
}

async function openSong(id, chosen) {
  const mine = opening = { id, ...chosen };
  remember(); // at once, since reading and fetching may take long
  try {
    const ready = await prepared(mine);
    if (!ready) return; // another song is wanted by now
    const [show, jobs] = await Promise.all([decks[ready.kind].fetch(ready), api.getJson(`/api/jobs?song=${id}`)]);
    if (opening !== mine) return;
    calm();
    setDeck(ready.kind);
    song = ready;
    choices();
    $("welcome").hidden = true;
    $("workspace").hidden = $("other-song").hidden = false;
    $("song-name").textContent = song.name;
    document.title = `${song.name} – restem studio`;
    view.setWidth($("overlay").clientWidth);
    view.setSong(song.seconds);
    overlay.grid = song.grid;
    overlay.setRegion(null);
    beats.setSong(song);
    await show();
    if (opening !== mine) return;
    chooseLane(0);
    takes.setJobs(jobs, chosen);
    follow(jobs.find((job) => job.state === "running") ?? jobs.find((job) => job.state === "queued"));
  } catch (error) {
    if (opening === mine) throw error;
    return;
  } finally { if (opening === mine) opened(); }
  await catchUp(); // with what happened since the jobs were asked for
}

/** Lanes and player for a song of sound or of notes. */
function setDeck(kind) {
  if (deck !== decks[kind]) deck.close();
  deck = decks[kind];
  overlay.player = beats.player = player = deck.player;
  deck.open();
  document.body.dataset.kind = kind;
}

/** What can be made for this song. */
function choices() {
  const notes = song.kind === "notes";
  const has = (stem) => (notes && !song.missing.includes(stem) ? `${stem} (a second part)` : stem);
  $("stem").replaceChildren(...(notes ? status.stems_of_notes : status.stems).map((stem) => new Option(has(stem), stem)));
  if (song.missing.length) $("stem").value = song.missing[0];
  $("stem").onchange();
  $("song-notes").replaceChildren(...song.notices.map((words) => Object.assign(document.createElement("li"), { textContent: words })));
}
$("stem").onchange = () => {
  $("make").textContent = `Make ${$("stem").value}`;
  document.body.dataset.stem = $("stem").value;
  sentence.setKind(song.kind, $("stem").value);
  region.words();
};

// ---- making ----

/** The take that is heard, if what is asked for is of its kind: around a region it goes on. */
const takeToFill = () => (takes.job?.request.stem === $("stem").value ? takes.chosen ?? null : null);

$("ask").onsubmit = async (event) => {
  event.preventDefault();
  calm();
  const number = (id) => ($(id).value === "" ? null : Number($(id).value));
  const fill = region.toFill, notes = song.kind === "notes";
  const body = {
    song: song.id, instruction: $("sentence").value, stem: $("stem").value, seed: number("seed") ?? 0,
    takes: Number($("takes").value), steps: number("steps"), guidance: number("guidance"), region: fill,
    density: notes ? $("density").value || null : number("dense") || null, // in the middle the sentence decides
    dynamics: notes ? null : number("dynamics") || null, tight: notes ? null : number("tight"),
    base: fill && !notes ? takeToFill() : null,
  };
  $("make").disabled = true;
  try { const job = await api.post("/api/jobs", body); takes.update(job); follow(job); say("Started"); }
  catch (error) { report(error); }
  $("make").disabled = false;
};

$("cancel").onclick = async () => {
  try { news(await api.post(`/api/jobs/${current.id}/cancel`)); } catch (error) { report(error); }
};

function follow(job) {
  current = job ?? null;
  $("running").hidden = !current;
  if (!current) return;
  $("bar").value = current.fraction;
  const left = current.seconds_left === null ? "" : `, ${Math.ceil(current.seconds_left)} s left`;
  $("bar-words").textContent = `${Math.round(100 * current.fraction)} % ${current.words}${left}`;
}

const isOver = (job) => ["done", "failed", "cancelled"].includes(job?.state);

/** News of any job of any tab; openSong catches up with those of the song that it opens. */
function news(job) {
  if (job.request.song !== song?.id || opening?.id === song.id) return;
  const over = isOver(job);
  if (!over && isOver(takes.jobs.find((one) => one.id === job.id))) return; // an answer that event overtook
  takes.update(job);
  if (!over && (!current || current.id === job.id || job.state === "running")) follow(job);
  if (over && current?.id === job.id) {
    say({ done: "Finished", failed: "Failed", cancelled: "Cancelled" }[job.state]);
    if (job.error) report(new Error(job.error));
    follow(takes.jobs.find((one) => one.state === "running") ?? takes.jobs.find((one) => one.state === "queued"));
    deck.preview(null);
  }
}

/** What was missed of the song's jobs. */
async function catchUp() {
  if (!song) return;
  try { for (const job of (await api.getJson(`/api/jobs?song=${song.id}`)).reverse()) news(job); }
  catch (error) { report(error); }
}

const listed = () => { if (!$("welcome").hidden) songs.show().catch(report); };
api.listen({
  job: news,
  song: () => { waiting?.(); listed(); },
  preview: (data) => { // of a first take; later ones must not cover what one listens to
    if (data.job === current?.id && data.take === 1) deck.preview(data.png, data.window);
  },
}).addEventListener("open", () => { catchUp(); listed(); }); // after a restart: what was missed meanwhile

// ---- takes ----

takes.addEventListener("choose", async () => {
  remember();
  region.words();
  const { chosen } = takes, its = song;
  const base = chosen && `/api/jobs/${chosen.job}/takes/${chosen.take}`;
  const wanted = () => takes.chosen === chosen && song === its;
  try {
    await deck.choose(base, wanted, takes.job?.request.stem ?? "drums");
    chooseLane(lane); // a lane may have come or gone
    if (chosen && wanted()) $("take-list").dataset.loaded = base;
  } catch (error) { report(error); }
});

takes.addEventListener("settings", ({ detail }) => {
  const { base } = detail; // what is filled goes on from the take that is chosen
  if (base && takes.jobs.find((job) => job.id === base.job)?.takes[base.take - 1]) takes.choose(base.job, base.take);
  const values = { sentence: detail.instruction, seed: detail.seed, takes: detail.takes,
    steps: detail.steps ?? "", guidance: detail.guidance ?? "", stem: detail.stem, density: detail.density ?? "",
    dense: detail.density ?? 0, dynamics: detail.dynamics ?? 0, tight: detail.tight ?? 0 };
  $("stem").value = values.stem;
  $("stem").onchange(); // and with it the sentence box
  for (const [id, value] of Object.entries(values)) $(id).value = value;
  sentence.mark();
  if (detail.region) { overlay.setRegion({ ...detail.region }); $("region-only").checked = true; }
  else $("region-only").checked = false;
  region.words();
  $("sentence").focus();
});
takes.addEventListener("deleted", ({ detail }) => { if (current?.id === detail) follow(null); remember(); });

// ---- playing, looking ----

$("play").onclick = () => (player.playing ? player.pause() : player.play());
$("to-start").onclick = () => { player.seek(0); view.scrollTo(0); };
$("loop").onclick = () => {
  $("loop").setAttribute("aria-pressed", $("loop").getAttribute("aria-pressed") !== "true");
  setLoop();
};
function setLoop() {
  const on = $("loop").getAttribute("aria-pressed") === "true";
  player.setLoop(on ? overlay.region ?? { start: 0, end: player.duration } : null);
}
$("zoom-in").onclick = () => view.setZoom(view.zoom * 1.6, player.position);
$("zoom-out").onclick = () => view.setZoom(view.zoom / 1.6, player.position);
$("zoom-fit").onclick = () => view.setZoom(1);
$("show-pictures").onchange = () => { $("lanes").classList.toggle("no-pictures", !$("show-pictures").checked); layout(true); };

for (const one of Object.values(decks)) {
  one.player.addEventListener("lanes", () => deck.lanes.forEach((each) => each.show()));
  one.player.addEventListener("change", () => { if (one === deck) transport(); });
}
function transport() {
  $("play").setAttribute("aria-label", player.playing ? "Pause" : "Play");
  $("play").classList.toggle("playing", player.playing);
  cancelAnimationFrame(frame); // or each seek would add a loop of its own
  if (player.playing) frame = requestAnimationFrame(tick);
  head();
}
function tick() {
  if (player.playing) { view.follow(player.position); frame = requestAnimationFrame(tick); }
  head();
}
function head() {
  const at = player.position;
  $("clock").textContent = time(at);
  $("bar-clock").textContent = song ? barOf(at) : "";
  overlay.draw();
}
function barOf(at) {
  const { times, positions } = overlay.grid;
  let bar = 0, beat = 0;
  for (let i = 0; i < times.length && times[i] <= at + 0.001; i++) { if (positions[i] === 1) bar++; beat = positions[i]; }
  return beat ? `bar ${bar}, beat ${beat}` : "";
}
function layout(zoomed) { for (const one of deck.lanes) one.layout(zoomed); overlay.draw(); }
view.addEventListener("change", ({ detail }) => layout(detail.zoomed));
new ResizeObserver(() => { if (song) { view.setWidth($("overlay").clientWidth); overlay.draw(); } }).observe($("lanes"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  overlay.recolour();
  for (const one of deck.lanes) one.recolour();
  layout(false);
});

overlay.addEventListener("region", setLoop);
beats.addEventListener("change", () => {
  if (song?.id !== beats.song.id) return; // it was left before the answer came
  song = beats.song;
  overlay.grid = song.grid;
  head();
});

// ---- keys, start ----

const seen = () => deck.lanes.filter((one) => !one.hidden);
function chooseLane(number) {
  const lanes = seen();
  lane = (number + lanes.length) % lanes.length;
  lanes.forEach((one, i) => one.head.classList.toggle("chosen", i === lane));
}
$("lanes").addEventListener("focusin", ({ target }) => {
  const at = seen().findIndex((one) => one.head.contains(target));
  if (at >= 0) chooseLane(at);
});
const moveLane = (by) => { chooseLane(lane + by); say(`${seen()[lane].title} lane`); };
function step(event) {
  const { bpm, beats_per_bar: bar } = overlay.grid;
  const seconds = (60 / bpm) * (event.shiftKey ? bar : 1);
  player.seek(player.position + (event.key === "ArrowLeft" ? -seconds : seconds));
  view.follow(player.position);
}
const withSong = (acts) => Object.fromEntries(Object.entries(acts).map(([key, act]) => [key, (...words) => song && act(...words)]));
listenForKeys(withSong({
  " ": () => $("play").click(), ArrowLeft: step, ArrowRight: step,
  ArrowUp: () => moveLane(-1), ArrowDown: () => moveLane(1),
  s: () => seen()[lane]?.solo.click(), m: () => seen()[lane]?.mute.click(), take: (n) => takes.number(n),
  b: () => takes.back(), l: () => $("loop").click(), i: () => region.fromHere(), o: () => region.toHere(),
  t: () => beats.tap(), "+": () => $("zoom-in").click(),
  "=": () => $("zoom-in").click(), "-": () => $("zoom-out").click(), Home: () => $("to-start").click(),
}));
$("dice").onclick = () => { $("seed").value = Math.floor(Math.random() * 1e6); };
$("other-song").onclick = () => welcome().catch(report);

const status = await api.getJson("/api/status").catch(report);
const sentence = new Sentence(status.vocabulary);
$("limits").textContent = `WAV, FLAC, OGG, Opus, MP3, AIFF (m4a with ffmpeg), MIDI and Guitar Pro 3 to 5, up to ${Math.round(status.limits.song_seconds / 60)} minutes and ${status.limits.upload_bytes >> 20} MB.`;
for (let n = 1; n <= 9; n++) $("takes").append(new Option(n, n));
await open();
document.body.dataset.ready = "yes";
performance.mark("ready");
