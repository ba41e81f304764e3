// A server to look at: receivers that fail, hang and recover, and the API to fill the server with.

import { createServer } from "node:http";
import { once } from "node:events";

const { BELLWIRE_URL: url, BELLWIRE_TOKEN: token } = process.env;
if (!url || !token) throw new Error("BELLWIRE_URL and BELLWIRE_TOKEN say where the server is");
export { url, token };

/** Asks the API; what is refused is an error. */
export async function api(method, path, body) {
  const answer = await fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

/** Asks until `holds` of the answer, for a while. */
export async function until(path, holds) {
  const end = Date.now() + 20_000;
  for (;;) {
    const answer = await api("GET", path);
    if (holds(answer)) return answer;
    if (Date.now() > end) throw new Error(`not in time: ${path}: ${JSON.stringify(answer)}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** A receiver whose answer can be changed while it runs. */
export async function receiver(mode = "fail") {
  const got = [];
  const server = createServer((request, response) => {
    const pieces = [];
    request.on("data", (piece) => pieces.push(piece));
    request.on("end", () => {
      got.push({ headers: request.headers, body: Buffer.concat(pieces).toString() });
      if (self.mode === "hang") return;
      const good = self.mode === "good";
      response.writeHead(good ? 200 : 503, { "content-type": "text/plain", "x-receiver": "test" });
      response.end(good ? "thanks" : "the cellar is flooded");
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const self = {
    mode,
    got,
    url: `http://127.0.0.1:${server.address().port}/hook`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
  return self;
}

/** One of everything, with endpoints that are well, fail, hang and are picky. */
export async function fill() {
  const receivers = { good: await receiver("good"), bad: await receiver("fail"), slow: await receiver("hang") };
  // Several files of tests fill the same server.
  const tag = Math.random().toString(36).slice(2, 8);
  const schema = { title: "Invoice", type: "object", examples: [{ order: "A-17", amount: 250 }] };
  await api("PUT", "/api/v1/event-type/invoice.paid", { description: "An invoice was paid", schemas: { 1: schema } });
  const app = await api("POST", "/api/v1/app", { name: `Acme Shop ${tag}`, uid: `acme-${tag}` });
  const at = `/api/v1/app/${app.id}`;
  const endpoint = (body) => api("POST", `${at}/endpoint`, body);
  const good = await endpoint({ url: receivers.good.url, description: "Accounting" });
  const bad = await endpoint({ url: receivers.bad.url, description: "Warehouse", retrySchedule: [] });
  const slow = await endpoint({ url: receivers.slow.url, description: "Analytics", timeoutMs: 500, retrySchedule: [3600] });
  const picky = await endpoint({ url: receivers.good.url, description: "Big orders", filter: "amount > 1000" });
  const source = await api("POST", "/ingest/api/v1/source", { name: "Payments", uid: `payments-${tag}`, type: "generic-webhook" }).catch(() => null);
  const messages = [];
  for (let at = 0; at < 12; at += 1) {
    const event = { eventType: "invoice.paid", eventId: `${tag}-${at}`, payload: { order: `A-${at}`, amount: at * 100 } };
    messages.push(await api("POST", `/api/v1/app/${app.id}/msg`, event));
  }
  const first = messages[0].id;
  await until(`${at}/attempt/msg/${first}`, (list) => new Set(list.data.map((attempt) => attempt.endpointId)).size >= 3);
  return { tag, receivers, app, endpoints: { good, bad, slow, picky }, source, messages };
}

/** Ends what `fill` began. */
export function close(world) {
  for (const one of Object.values(world.receivers)) one.close();
}
