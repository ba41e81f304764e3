// Applications and event types through the npm SDK.

import assert from "node:assert/strict";
import test from "node:test";
import { raw, refused, svix, uniqueName, walk, world } from "../lib/world.mjs";

test("an application is created, found by id and uid, upserted, patched and deleted", async () => {
  const uid = uniqueName();
  const made = await svix.application.create({ name: "Acme", uid, throttleRate: 7, metadata: { plan: "gold" } });
  assert.match(made.id, /^app_/);
  assert.deepEqual([made.name, made.uid, made.throttleRate, made.metadata], ["Acme", uid, 7, { plan: "gold" }]);
  assert.ok(!Number.isNaN(made.createdAt.getTime()) && !Number.isNaN(made.updatedAt.getTime()));
  assert.deepEqual(await svix.application.get(made.id), made);
  assert.deepEqual(await svix.application.get(uid), made);
  assert.deepEqual(await svix.application.getOrCreate({ name: "ignored", uid }), made);

  const replaced = await svix.application.upsert(uid, { name: "two", uid });
  assert.deepEqual([replaced.id, replaced.name, replaced.metadata], [made.id, "two", {}]);
  const patched = await svix.application.patch(made.id, { metadata: { a: "b" } });
  assert.deepEqual([patched.name, patched.metadata], ["two", { a: "b" }]);
  const cleared = await svix.application.patch(made.id, { uid: null });
  assert.equal(cleared.uid ?? null, null);
  await refused(404, svix.application.get(uid));

  await svix.application.delete(made.id);
  await refused(404, svix.application.get(made.id));
});

test("status codes tell created from existing", async () => {
  const uid = uniqueName();
  const body = { name: "x", uid };
  const statuses = [];
  statuses.push((await raw("PUT", `/api/v1/app/${uid}`, body)).status);
  statuses.push((await raw("PUT", `/api/v1/app/${uid}`, body)).status);
  statuses.push((await raw("POST", "/api/v1/app?get_if_exists=true", body)).status);
  statuses.push((await raw("POST", "/api/v1/app", body)).status);
  statuses.push((await raw("DELETE", `/api/v1/app/${uid}`)).status);
  statuses.push((await raw("POST", "/api/v1/app?get_if_exists=true", body)).status);
  statuses.push((await raw("DELETE", `/api/v1/app/${uid}`)).status);
  assert.deepEqual(statuses, [201, 200, 200, 409, 204, 201, 204]);
});

test("a taken uid conflicts and wrong fields are named", async (t) => {
  const { app } = await world(t);
  await refused(409, svix.application.create({ name: "again", uid: app.uid }));
  const error = await refused(422, svix.application.create({ name: "x", uid: "no way!" }));
  assert.ok(error.body.detail[0].loc.includes("uid"));
  await refused(422, svix.application.create({ name: "" }));
  await refused(422, svix.application.list({ limit: 251 }));
});

test("the whole list is walked without a gap or a repeat", async (t) => {
  const worlds = [await world(t), await world(t), await world(t)];
  const ids = (await walk((o) => svix.application.list(o), { limit: 100, order: "ascending" })).map((a) => a.id);
  assert.deepEqual(
    ids.filter((id) => worlds.some((w) => w.app.id === id)),
    worlds.map((w) => w.app.id),
  );
  assert.equal(new Set(ids).size, ids.length);
});

test("an event type is created, changed, archived, brought back and expunged", async () => {
  const name = `${uniqueName()}.invoice.paid`;
  const schemas = { 1: { type: "object", required: ["total"] } };
  const listed = async (options) =>
    (await walk((o) => svix.eventType.list(o), { limit: 250, ...options })).find((e) => e.name === name);

  const made = await svix.eventType.create({ name, description: "one", schemas });
  assert.deepEqual([made.description, made.archived, made.deprecated], ["one", false, false]);
  assert.deepEqual((await svix.eventType.get(name)).schemas, schemas);
  await refused(409, svix.eventType.create({ name, description: "again" }));
  assert.ok(!(await listed()).schemas);
  assert.deepEqual((await listed({ withContent: true })).schemas, schemas);

  assert.equal((await svix.eventType.upsert(name, { description: "two", schemas })).description, "two");
  const patched = await svix.eventType.patch(name, { description: "three" });
  assert.deepEqual([patched.description, patched.schemas], ["three", schemas]);

  await svix.eventType.delete(name);
  assert.equal(await listed(), undefined);
  assert.equal((await listed({ includeArchived: true })).archived, true);
  assert.equal((await svix.eventType.create({ name, description: "back" })).archived, false);

  await svix.eventType.delete(name, { expunge: true });
  await refused(404, svix.eventType.get(name));
  await refused(422, svix.eventType.create({ name: "has space", description: "x" }));
});
