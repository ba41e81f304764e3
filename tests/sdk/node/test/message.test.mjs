// Messages through the npm SDK: bytes, idempotency, event ids, lists, content, precheck, raw text.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import test from "node:test";
import { messageInRaw } from "svix";
import { Receiver } from "../lib/receiver.mjs";
import { hourAgo, hourAhead, raw, refused, svix, world } from "../lib/world.mjs";

test("number text, key order and white space survive", async (t) => {
  const { app, connect, eventType } = await world(t);
  const receiver = await Receiver.open(t);
  await connect(receiver);
  const exact = '{ "z":1.0, "a": 123456789012345678901, "e":1e-7, "t":"\\u00e9\\/é", "n":{"b":1,"a":[ ]} }';
  const body = `{"payload":${exact},"eventType":"${await eventType("ping")}"}`;
  const answer = await raw("POST", `/api/v1/app/${app.id}/msg`, body);
  assert.equal(answer.status, 202, answer.text);
  const [sent] = await receiver.of(answer.json().id);
  assert.equal(sent.body.toString(), exact);
  const shown = await raw("GET", `/api/v1/app/${app.id}/msg/${answer.json().id}/raw`);
  assert.equal(shown.json().payload, exact);
});

test("the SDK's payload arrives as it was stringified, and raw text as it is", async (t) => {
  const { app, connect, eventType, publish } = await world(t);
  const receiver = await Receiver.open(t);
  await connect(receiver);
  const ping = await eventType("ping");
  const payload = { z: 1, a: { é: [null, 1.5] } };
  const [sent] = await receiver.of((await publish(ping, payload)).id);
  assert.equal(sent.body.toString(), JSON.stringify(payload));
  assert.match(sent.headers["content-type"], /^application\/json/);
  const text = await svix.message.create(app.id, messageInRaw(ping, "a=1&b=2", "application/x-www-form-urlencoded"));
  const [form] = await receiver.of(text.id);
  assert.equal(form.body.toString(), "a=1&b=2");
  assert.equal(form.headers["content-type"], "application/x-www-form-urlencoded");
});

test("an event id is taken once, an idempotency key gives the first answer again", async (t) => {
  const { app, name, connect, eventType, publish } = await world(t);
  const receiver = await Receiver.open(t);
  await connect(receiver);
  const ping = await eventType("ping");
  const made = await publish(ping, { n: 1 }, { eventId: `${name}-evt` });
  await refused(409, publish(ping, { n: 2 }, { eventId: `${name}-evt` }));
  assert.equal((await svix.message.get(app.id, `${name}-evt`)).id, made.id);

  const key = { idempotencyKey: randomUUID() };
  const first = await svix.message.create(app.id, { eventType: ping, payload: { n: 3 } }, key);
  const again = await svix.message.create(app.id, { eventType: ping, payload: { n: 3 } }, key);
  assert.deepEqual(again, first);
  await refused(422, svix.message.create(app.id, { eventType: ping, payload: { n: 4 } }, key));
  await receiver.of(made.id);
  await receiver.of(first.id);
  assert.equal((await svix.message.list(app.id)).data.length, 2);
  assert.equal(receiver.requests.length, 2);
});

test("the same key at the same time makes one message", async (t) => {
  const { app, eventType } = await world(t);
  const ping = await eventType("ping");
  const key = { idempotencyKey: randomUUID() };
  const outcomes = await Promise.allSettled(
    Array.from({ length: 8 }, () => svix.message.create(app.id, { eventType: ping, payload: { n: 1 } }, key)),
  );
  for (const o of outcomes) assert.ok(o.status === "fulfilled" || o.reason.code === 409, o.reason);
  const ids = new Set(outcomes.filter((o) => o.status === "fulfilled").map((o) => o.value.id));
  assert.equal(ids.size, 1);
  assert.equal((await svix.message.list(app.id)).data.length, 1);
});

test("lists filter and page, and show content only when asked", async (t) => {
  const { app, eventType, publish } = await world(t);
  const [a, b] = [await eventType("a"), await eventType("b")];
  const made = [];
  for (const [type, channels] of [[a, ["eu"]], [b, ["us", "eu"]], [a], [b], [a]]) {
    made.unshift((await publish(type, { type }, channels && { channels })).id);
  }
  const ids = async (options) => (await svix.message.list(app.id, options)).data.map((m) => m.id);
  assert.deepEqual(await ids(), made);
  assert.deepEqual(await ids({ channel: "eu" }), made.slice(3));
  assert.deepEqual(await ids({ eventTypes: [a] }), [made[0], made[2], made[4]]);
  assert.deepEqual(await ids({ eventTypes: [a, b] }), made);
  assert.deepEqual(await ids({ before: hourAgo() }), []);
  assert.deepEqual(await ids({ after: hourAhead() }), []);
  assert.deepEqual(await ids({ after: hourAgo(), before: hourAhead(), channel: "us" }), [made[3]]);

  const first = await svix.message.list(app.id, { limit: 2 });
  const second = await svix.message.list(app.id, { limit: 2, iterator: first.iterator });
  const back = await svix.message.list(app.id, { limit: 2, iterator: second.prevIterator });
  assert.deepEqual([first, second, back].map((p) => p.data.map((m) => m.id)), [
    made.slice(0, 2),
    made.slice(2, 4),
    made.slice(0, 2),
  ]);
  await refused(422, svix.message.list(app.id, { limit: 251 }));

  assert.deepEqual(first.data[0].payload, {});
  const whole = await svix.message.list(app.id, { limit: 1, withContent: true });
  assert.deepEqual(whole.data[0].payload, { type: a });
  assert.deepEqual((await svix.message.get(app.id, made[0])).payload, {});
  assert.deepEqual((await svix.message.get(app.id, made[0], { withContent: true })).payload, { type: a });
});

test("expunged content is gone, and precheck says who listens", async (t) => {
  const { app, connect, eventType, publish } = await world(t);
  const receiver = await Receiver.open(t);
  const [paid, other] = [await eventType("invoice.paid"), await eventType("other")];
  assert.equal((await svix.message.precheck(app.id, { eventType: paid })).active, false);
  await connect(receiver, { eventTypes: [paid] });
  assert.equal((await svix.message.precheck(app.id, { eventType: paid })).active, true);
  assert.equal((await svix.message.precheck(app.id, { eventType: other })).active, false);

  const canary = randomUUID();
  const made = await publish(paid, { canary });
  await receiver.of(made.id);
  await svix.message.expungeContent(app.id, made.id);
  const seen = await svix.message.get(app.id, made.id, { withContent: true });
  assert.ok(!JSON.stringify(seen).includes(canary));
});

test("wrong messages are refused and leave nothing", async (t) => {
  const { app, eventType } = await world(t);
  const ping = await eventType("ping");
  await refused(422, svix.message.create(app.id, { eventType: "no way!", payload: {} }));
  await refused(422, svix.message.create(app.id, { eventType: ping, payload: {}, channels: ["no way!"] }));
  await refused(404, svix.message.create("app_doesnotexist", { eventType: ping, payload: {} }));
  await refused(413, svix.message.create(app.id, { eventType: ping, payload: { blob: "x".repeat(3_000_000) } }));
  assert.ok([400, 422].includes((await raw("POST", `/api/v1/app/${app.id}/msg`, "{")).status));
  assert.deepEqual((await svix.message.list(app.id)).data, []);
});
