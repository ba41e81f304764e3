// The live tail: rows from the server's events. The newest are on top; what the page cannot show, it counts.

const table = document.getElementById("live");
const body = table.tBodies[0];
const state = document.getElementById("live-state");
const hold = document.getElementById("live-pause");
const base = document.documentElement.dataset.base;
const ROWS = 200;

let held = false;
let leftOut = 0;
let seen = 0;
let waiting = [];

function say(words) {
  const sampled = leftOut ? `; more than can be read: ${leftOut} were left out, so this is a sample` : "";
  if (state.textContent !== words + sampled) state.textContent = words + sampled;
}

function cell(row, text, link, className) {
  const place = row.insertCell();
  if (className) place.className = className;
  if (link) {
    const a = document.createElement("a");
    a.href = link;
    a.textContent = text;
    place.append(a);
  } else {
    place.textContent = text ?? "";
  }
  return place;
}

function show(kind, data) {
  const row = body.insertRow(0);
  const app = encodeURIComponent(data.appId);
  const id = data.id ?? data.msgId;
  cell(row, (data.timestamp ?? "").slice(11, 23), null, "dim");
  const badge = document.createElement("span");
  const good = data.statusText === "success";
  badge.className = `state ${kind === "message" ? "busy" : good ? "good" : "bad"}`;
  badge.textContent = kind === "message" ? "accepted" : good ? "succeeded" : "failed";
  row.insertCell().append(badge);
  cell(row, data.eventType);
  cell(row, id, `${base}/app/${app}/msg/${encodeURIComponent(id)}`, "id");
  if (data.endpointId) cell(row, data.endpointId, `${base}/app/${app}/endpoint/${encodeURIComponent(data.endpointId)}`, "id");
  else cell(row, kind === "message" ? `for ${data.endpoints}` : "", null, "dim");
  cell(row, kind === "message" ? "" : [data.responseStatusCode || "", data.failure ?? ""].join(" "));
  cell(row, data.responseDurationMs === undefined ? "" : `${data.responseDurationMs} ms`, null, "num");
  while (body.rows.length > ROWS) body.deleteRow(-1);
}

// At most four times a second, so that reading stays possible.
setInterval(() => {
  if (held || !waiting.length) return;
  for (const [kind, data] of waiting) show(kind, data);
  waiting = [];
  say(`Watching; ${seen} events so far`);
}, 250);

function take(kind) {
  return (event) => {
    seen += 1;
    waiting.push([kind, JSON.parse(event.data)]);
    if (waiting.length > ROWS) waiting.shift();
  };
}

const stream = new EventSource(table.dataset.stream);
stream.addEventListener("open", () => say("Watching"));
stream.addEventListener("message", take("message"));
stream.addEventListener("attempt", take("attempt"));
stream.addEventListener("sampled", (event) => {
  leftOut += JSON.parse(event.data).leftOut;
});
stream.addEventListener("missed", (event) => {
  leftOut += JSON.parse(event.data).count;
});
stream.addEventListener("error", () => say("The connection is interrupted; trying again"));

hold.hidden = false;
hold.addEventListener("click", () => {
  held = !held;
  hold.textContent = held ? "Go on" : "Hold";
});
