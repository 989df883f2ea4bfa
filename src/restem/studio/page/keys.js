// One key, one act; keys that a focused control needs for itself stay with it.

const $ = (id) => document.getElementById(id);

export function listenForKeys(acts) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const tag = event.target.tagName, kind = event.target.type;
    const writes = tag === "SELECT" || tag === "TEXTAREA" || (tag === "INPUT" && !["range", "checkbox"].includes(kind));
    if (writes) return;
    const own = ["BUTTON", "A", "SUMMARY"].includes(tag) || kind === "checkbox";
    if (own && (event.key === " " || event.key === "Enter")) return;
    const moves = event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End";
    if (moves && (kind === "range" || event.target.id === "scrollbar")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (/^[1-9]$/.test(key)) acts.take(Number(key));
    else if (acts[key]) acts[key](event);
    else return;
    event.preventDefault();
  });
  $("show-keys").onclick = () => $("keys").showModal();
}
