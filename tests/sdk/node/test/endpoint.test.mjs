// Endpoints through the npm SDK: fields, filters, headers, refusals, pagination, stats, deletion.

import assert from "node:assert/strict";
import test from "node:test";
import { Receiver } from "../lib/receiver.mjs";
import { eventually, raw, refused, svix, world } from "../lib/world.mjs";

const destinations = async (app, message) =>
  (await svix.messageAttempt.listAttemptedDestinations(app.id, message.id)).data.map((d) => d.id).sort();

test("an endpoint keeps its fields through create, upsert and patch", async (t) => {
  const { app, name, eventType } = await world(t);
  const receiver = await Receiver.open(t);
  const paid = await eventType("invoice.paid");
  const uid = `${name}-ep`;
  const made = await svix.endpoint.create(app.id, {
    url: receiver.url,
    uid,
    description: "billing",
    eventTypes: [paid],
    channels: ["eu"],
    throttleRate: 9,
    metadata: { team: "billing" },
  });
  assert.match(made.id, /^ep_/);
  assert.deepEqual(
    [made.url, made.uid, made.description, made.eventTypes, made.channels, made.throttleRate, made.metadata],
    [receiver.url, uid, "billing", [paid], ["eu"], 9, { team: "billing" }],
  );
  assert.equal(made.disabled, false);
  assert.deepEqual(await svix.endpoint.get(app.uid, uid), made);
  await refused(409, svix.endpoint.create(app.id, { url: receiver.url, uid }));

  const replaced = await svix.endpoint.upsert(app.id, uid, { url: `${receiver.url}/2`, uid });
  assert.deepEqual([replaced.id, replaced.url, replaced.description], [made.id, `${receiver.url}/2`, ""]);
  assert.deepEqual([replaced.eventTypes ?? null, replaced.channels ?? null], [null, null]);
  const patched = await svix.endpoint.patch(app.id, uid, { description: "three", channels: ["us"] });
  assert.deepEqual([patched.url, patched.description, patched.channels], [`${receiver.url}/2`, "three", ["us"]]);
  const path = `/api/v1/app/${app.id}/endpoint/${name}-put`;
  assert.equal((await raw("PUT", path, { url: receiver.url, uid: `${name}-put` })).status, 201);
  assert.equal((await raw("PUT", path, { url: receiver.url, uid: `${name}-put` })).status, 200);
});

test("the Svix names of older clients are accepted too", async (t) => {
  const { app, eventType } = await world(t);
  const receiver = await Receiver.open(t);
  const paid = await eventType("invoice.paid");
  const answer = await raw("POST", `/api/v1/app/${app.id}/endpoint`, {
    url: receiver.url,
    filterTypes: [paid],
    rateLimit: 5,
  });
  assert.equal(answer.status, 201, answer.text);
  const seen = await svix.endpoint.get(app.id, answer.json().id);
  assert.deepEqual([seen.eventTypes, seen.throttleRate], [[paid], 5]);
});

test("URLs that lead inside are refused", async (t) => {
  const { app } = await world(t);
  for (const url of [
    "http://10.0.0.1/hook",
    "http://169.254.169.254/latest/meta-data",
    "http://[::ffff:192.168.0.1]/",
    "http://[fe80::1]/",
    "http://167772161/",
    "gopher://example.com/",
    "http://user:pw@example.com/",
    "http://example.com:25/",
    "nonsense",
  ]) {
    await refused(422, svix.endpoint.create(app.id, { url }));
  }
  assert.deepEqual((await svix.endpoint.list(app.id)).data, []);
});

test("the list is walked forth and back", async (t) => {
  const { app } = await world(t);
  const receiver = await Receiver.open(t);
  const made = [];
  for (let i = 0; i < 5; i++) made.push((await svix.endpoint.create(app.id, { url: `${receiver.url}/${i}` })).id);
  for (const [order, expected] of [["ascending", made], ["descending", made.toReversed()]]) {
    const page = (iterator) => svix.endpoint.list(app.id, { limit: 2, order, iterator });
    const ids = (p) => p.data.map((e) => e.id);
    const first = await page();
    const second = await page(first.iterator);
    const third = await page(second.iterator);
    assert.deepEqual([first, second, third].map(ids), [expected.slice(0, 2), expected.slice(2, 4), expected.slice(4)]);
    assert.deepEqual([first.done, second.done, third.done], [false, false, true]);
    const back = await page(third.prevIterator);
    assert.deepEqual(ids(back), expected.slice(2, 4));
    assert.deepEqual(ids(await page(back.prevIterator)), expected.slice(0, 2));
  }
  await refused(422, svix.endpoint.list(app.id, { limit: 251 }));
});

test("custom headers are sent, patched, replaced, and guarded", async (t) => {
  const { app, connect, eventType, publish } = await world(t);
  const receiver = await Receiver.open(t);
  const ping = await eventType("ping");
  const made = await connect(receiver, { headers: { "X-Team": "billing", "X-Stage": "prod" } });
  let [sent] = await receiver.of((await publish(ping)).id);
  assert.deepEqual([sent.headers["x-team"], sent.headers["x-stage"]], ["billing", "prod"]);
  await svix.endpoint.patchHeaders(app.id, made.id, { headers: { "X-Team": "ops" }, deleteHeaders: ["X-Stage"] });
  const shown = await svix.endpoint.getHeaders(app.id, made.id);
  assert.deepEqual(Object.entries(shown.headers).map(([k, v]) => [k.toLowerCase(), v]), [["x-team", "ops"]]);
  assert.ok(Array.isArray(shown.sensitive));
  await svix.endpoint.setHeaders(app.id, made.id, { headers: { "X-Only": "1" } });
  [sent] = await receiver.of((await publish(ping)).id);
  assert.deepEqual([sent.headers["x-only"], sent.headers["x-team"]], ["1", undefined]);
  for (const name of ["Host", "Content-Length", "Webhook-Signature", "svix-id"]) {
    await refused(422, svix.endpoint.setHeaders(app.id, made.id, { headers: { [name]: "x" } }));
  }
});

test("event types, wildcards and channels choose the destinations", async (t) => {
  const { app, name, connect, eventType, publish } = await world(t);
  const [paid, user] = [await eventType("invoice.paid"), await eventType("user.created")];
  const receivers = [];
  const open = async (fields) => {
    receivers.push(await Receiver.open(t));
    return (await connect(receivers.at(-1), fields)).id;
  };
  const all = await open();
  const exact = await open({ eventTypes: [paid] });
  const wild = await open({ eventTypes: [`${name}.invoice.*`] });
  const channel = await open({ channels: ["eu"] });

  const created = await publish(user);
  const paidHere = await publish(paid, { n: 1 }, { channels: ["us", "eu"] });
  await Promise.all([receivers[0].wait(2), receivers[1].wait(1), receivers[2].wait(1), receivers[3].wait(1)]);
  assert.deepEqual(await destinations(app, created), [all]);
  assert.deepEqual(await destinations(app, paidHere), [all, exact, wild, channel].sort());
  for (const receiver of receivers.slice(1)) {
    assert.deepEqual(receiver.requests.map((r) => r.headers["webhook-id"]), [paidHere.id]);
  }
});

test("a deleted endpoint gets nothing more", async (t) => {
  const { app, connect, eventType, publish } = await world(t);
  const ping = await eventType("ping");
  const [witness, doomed] = [await Receiver.open(t), await Receiver.open(t)];
  const stays = (await connect(witness)).id;
  const gone = (await connect(doomed)).id;
  await doomed.of((await publish(ping)).id);
  await svix.endpoint.delete(app.id, gone);
  const after = await publish(ping);
  await witness.of(after.id);
  assert.deepEqual(await destinations(app, after), [stays]);
  assert.equal(doomed.requests.length, 1);
  await refused(404, svix.endpoint.get(app.id, gone));
});

test("stats count deliveries", async (t) => {
  const { app, connect, eventType, publish } = await world(t);
  const receiver = await Receiver.open(t);
  const ping = await eventType("ping");
  const made = await connect(receiver, { retry: ["100ms"] });
  await receiver.of((await publish(ping)).id);
  receiver.always(500);
  await receiver.of((await publish(ping)).id, 2);
  await eventually("one success and a failure", async () => {
    const stats = await svix.endpoint.getStats(app.id, made.id);
    return stats.success === 1 && stats.fail >= 1 && stats.pending === 0 && stats.sending === 0;
  });
});
