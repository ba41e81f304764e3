// The operator's side: operational webhooks, portal access, environment, statistics, health.

import assert from "node:assert/strict";
import test from "node:test";
import { Receiver } from "../lib/receiver.mjs";
import { clientWith, eventually, finished, hourAgo, hourAhead, raw, refused, svix, world } from "../lib/world.mjs";

async function operate(t, receiver, fields) {
  const made = await svix.operationalWebhook.endpoint.create({ url: receiver.url, ...fields });
  t.after(() => svix.operationalWebhook.endpoint.delete(made.id));
  receiver.secrets.push((await svix.operationalWebhook.endpoint.getSecret(made.id)).key);
  return made;
}

test("the operator is told about endpoints and exhausted messages", async (t) => {
  const { app, connect, eventType, publish } = await world(t);
  const [console_, failing] = [await Receiver.open(t), await Receiver.open(t)];
  await operate(t, console_, { eventTypes: ["endpoint.created", "message.attempt.exhausted"] });
  const told = async (kind) => {
    const match = (r) => {
      const event = JSON.parse(r.body);
      return event.type === kind && event.data.appId === app.id;
    };
    return JSON.parse((await console_.wait(1, match))[0].body).data;
  };
  failing.always(500);
  const made = await connect(failing, { retry: ["100ms"] });
  const created = await told("endpoint.created");
  assert.deepEqual([created.appUid, created.endpointId], [app.uid, made.id]);
  const message = await publish(await eventType("ping"));
  const exhausted = await told("message.attempt.exhausted");
  assert.deepEqual([exhausted.msgId, exhausted.endpointId], [message.id, made.id]);
  assert.equal(exhausted.lastAttempt.responseStatusCode, 500);
});

test("an operational endpoint is managed", async (t) => {
  const receiver = await Receiver.open(t);
  const api = svix.operationalWebhook.endpoint;
  const made = await operate(t, receiver, { description: "one", eventTypes: ["endpoint.disabled"] });
  assert.deepEqual(await api.get(made.id), made);
  const changed = await api.upsert(made.id, { url: `${receiver.url}/2`, description: "two" });
  assert.deepEqual([changed.id, changed.url, changed.description], [made.id, `${receiver.url}/2`, "two"]);
  await api.setHeaders(made.id, { headers: { "X-A": "1" } });
  assert.deepEqual(Object.values((await api.getHeaders(made.id)).headers), ["1"]);
  const { key } = await api.getSecret(made.id);
  await api.rotateSecret(made.id, {});
  const renewed = (await api.getSecret(made.id)).key;
  assert.notEqual(renewed, key);
  receiver.secrets.push(renewed);
  await refused(422, api.create({ url: "http://10.0.0.1/" }));
});

test("a portal token reaches its application only", async (t) => {
  const [mine, other] = [await world(t), await world(t)];
  const receiver = await Receiver.open(t);
  const access = await svix.authentication.appPortalAccess(mine.app.uid, {});
  assert.ok(access.token && URL.canParse(access.url));
  const tenant = clientWith(access.token);
  const made = await tenant.endpoint.create(mine.app.id, { url: receiver.url });
  assert.deepEqual((await tenant.endpoint.list(mine.app.id)).data.map((e) => e.id), [made.id]);
  await refused(404, tenant.endpoint.list(other.app.id));
  await refused(403, tenant.application.create({ name: "sneaky" }));
  await tenant.authentication.logout();
  await refused(401, tenant.endpoint.list(mine.app.id));
  await refused(401, clientWith("nonsense").application.list());
});

test("event types travel through export and import", async (t) => {
  const { eventType } = await world(t);
  const name = await eventType("travels");
  const exported = await svix.environment.export();
  const ours = exported.eventTypes.find((e) => e.name === name);
  assert.ok(ours);
  await svix.eventType.delete(name, { expunge: true });
  await svix.environment.import({ eventTypes: [{ ...ours, description: "imported" }], settings: exported.settings });
  assert.equal((await svix.eventType.get(name)).description, "imported");
});

test("attempts are counted per application", async (t) => {
  const { app, connect, eventType, publish } = await world(t);
  const receiver = await Receiver.open(t);
  await connect(receiver);
  await receiver.of((await publish(await eventType("ping"))).id);
  await eventually("one success in the statistics", async () => {
    const answer = await raw("GET", `/api/v1/stats/app/${app.id}/attempt?period=OneHour`);
    assert.equal(answer.status, 200, answer.text);
    const counts = answer.json().data.successCount ?? [];
    return counts.reduce((sum, n) => sum + n, 0) === 1;
  });
  const task = await svix.statistics.aggregateAppStats({ since: hourAgo(), until: hourAhead(), appIds: [app.id] });
  assert.deepEqual(task.unresolvedAppIds, []);
  assert.equal((await finished(task)).data.appStats[0].messageDestinations, 1);
});

test("health answers, and the unknown is a JSON 404", async () => {
  await svix.health.get();
  await refused(404, svix.connector.list());
  const answer = await raw("GET", "/api/v1/no/such/thing");
  assert.equal(answer.status, 404);
  assert.ok(answer.json().code && answer.json().detail);
});
