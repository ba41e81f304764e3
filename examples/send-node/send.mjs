// Publishes one event to Bellwire and shows what becomes of it.

import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { ApiException, Svix } from "svix";

const APP = "acme";
const ENDPOINT = "acme-hook";

const bellwire = new Svix(process.env.BELLWIRE_TOKEN, {
  serverUrl: process.env.BELLWIRE_URL ?? "http://127.0.0.1:8071",
});

/** One application and one endpoint, however often this runs. */
async function setUp(url) {
  await bellwire.application.getOrCreate({ name: "Acme Corp", uid: APP });
  await bellwire.endpoint.upsert(APP, ENDPOINT, { url, uid: ENDPOINT, eventTypes: ["invoice.*"] });
  console.log("endpoint secret:", (await bellwire.endpoint.getSecret(APP, ENDPOINT)).key);
}

/** The key covers a request that is repeated, the event id a program that runs twice. */
async function publishOnce(eventId, payload) {
  try {
    const message = { eventType: "invoice.paid", eventId, payload };
    const made = await bellwire.message.create(APP, message, { idempotencyKey: randomUUID() });
    console.log("published:", made.id);
  } catch (error) {
    if (!(error instanceof ApiException) || error.code !== 409) throw error;
    console.log("published before:", eventId);
  }
}

async function showDelivery(eventId) {
  let destinations = [];
  for (let tries = 0; tries < 20; tries += 1) {
    destinations = (await bellwire.messageAttempt.listAttemptedDestinations(APP, eventId)).data;
    if (destinations.length > 0 && destinations.every((found) => found.statusText !== "pending")) break;
    await pause(100);
  }
  for (const found of destinations) {
    const again = found.nextAttempt ? `, next attempt ${found.nextAttempt.toISOString()}` : "";
    console.log(`${found.url}: ${found.statusText}${again}`);
  }
}

await setUp(process.argv[2] ?? "http://127.0.0.1:8090/hook");
const eventId = `invoice-${Date.now()}`;
await publishOnce(eventId, { type: "invoice.paid", id: eventId, amount: "19.90" });
await publishOnce(eventId, { type: "invoice.paid", id: eventId, amount: "19.90" });
await showDelivery(eventId);
