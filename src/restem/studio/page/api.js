// Requests to the studio's HTTP API; every failure becomes an Error with the server's sentence.

async function answered(response) {
  if (response.ok) return response;
  let words = `The studio answered with error ${response.status}.`;
  try { words = (await response.json()).detail ?? words; } catch { /* no JSON */ }
  throw new Error(words);
}

async function ask(method, path, body) {
  const options = { method, headers: {} };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let response;
  try { response = await fetch(path, options); } catch {
    throw new Error("The studio does not answer; is it still running?");
  }
  return answered(response);
}

export const getJson = async (path) => (await ask("GET", path)).json();
export const getBytes = async (path) => (await ask("GET", path)).arrayBuffer();
export const post = async (path, body) => (await ask("POST", path, body)).json();
export const put = async (path, body) => (await ask("PUT", path, body)).json();
export const remove = (path) => ask("DELETE", path);

/** Upload with progress, which fetch cannot tell. */
export function upload(file, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/songs?name=${encodeURIComponent(file.name.slice(-255) || "song")}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => onProgress(event.loaded / (event.total || 1));
    request.onerror = () => reject(new Error("The upload was cut off; try again."));
    request.onload = () => {
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch { /* told below */ }
      if (request.status === 202) resolve(answer);
      else reject(new Error(answer.detail ?? `The studio answered with error ${request.status}.`));
    };
    request.send(file);
  });
}

/** Events of all jobs and songs; the browser connects again by itself. */
export function listen(handlers) {
  const source = new EventSource("/api/events");
  for (const [kind, handle] of Object.entries(handlers)) {
    source.addEventListener(kind, (event) => handle(event.data ? JSON.parse(event.data) : null));
  }
  return source;
}
