// Receives webhooks, alone or in batches: verifies the raw body, recognises duplicates, answers at once.

import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const BODY_BYTES_MAX = 1 << 20;

const webhook = new Webhook(process.env.WEBHOOK_SECRET);
// A real receiver keeps these in its database, written in one transaction with the work.
const seen = new Set();

async function raw(request) {
  const pieces = [];
  let bytes = 0;
  for await (const piece of request) {
    bytes += piece.length;
    if (bytes > BODY_BYTES_MAX) return undefined;
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

async function receive(request) {
  if (request.method !== "POST" || request.url !== "/hook") return 404;
  const body = await raw(request);
  if (body === undefined) return 413;
  let event;
  try {
    event = webhook.verify(body, request.headers);
  } catch (error) {
    console.log("refused:", error.message);
    return 401;
  }
  for (const [id, data] of messages(request.headers["webhook-id"], event)) {
    if (seen.has(id)) {
      console.log("duplicate:", id);
    } else {
      seen.add(id);
      console.log("received:", id, data);
    }
  }
  return 204;
}

/** Ids and payloads. A batch's own id changes from try to try; those of the messages inside do not. */
function messages(id, event) {
  if (!id.startsWith("batch_")) return [[id, event]];
  return event.map((item) => [item.id, item.data]);
}

const server = createServer(async (request, response) => {
  response.writeHead(await receive(request).catch(() => 500)).end();
});
server.listen(Number(process.env.PORT ?? 8090), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}/hook`);
});
