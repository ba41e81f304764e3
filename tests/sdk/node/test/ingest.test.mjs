// Sources: where the webhooks of others come in.

import assert from "node:assert/strict";
import test from "node:test";
import { Receiver } from "../lib/receiver.mjs";
import { clientWith, raw, refused, svix, uniqueName, walk } from "../lib/world.mjs";

/** A source of this test's own; removed when the test ends. */
async function source(t, fields = {}) {
  const name = uniqueName();
  const wanted = { name: `suite ${name}`, uid: name, type: "github", config: { secret: "s3cret" }, ...fields };
  const made = await svix.ingest.source.create(wanted);
  t.after(() => svix.ingest.source.delete(made.id).catch((error) => assert.equal(error.code, 404)));
  return made;
}

test("a source has a URL and shows no secret", async (t) => {
  const made = await source(t, { metadata: { team: "a" } });
  assert.ok(made.id.startsWith("src_") && made.createdAt instanceof Date);
  assert.ok(URL.canParse(made.ingestUrl));
  for (const known of [made.id, made.uid]) assert.deepEqual(await svix.ingest.source.get(known), made);
  assert.ok(!(await raw("GET", `/ingest/api/v1/source/${made.id}`)).text.includes("s3cret"));
  await refused(409, svix.ingest.source.create({ name: "second", type: "generic-webhook", uid: made.uid }));
});

test("the client reads every kind that it writes", async (t) => {
  for (const [type, config] of [
    ["generic-webhook", undefined],
    ["svix", { secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }],
    ["meta", { secret: "a", verifyToken: "b" }],
    ["tailscale", { secret: "tskey-webhook-a", timestampGraceSeconds: 60 }],
    ["merge", { secret: "a" }],
    ["cron", { schedule: "*/5 * * * *", payload: "{}", contentType: "application/json" }],
  ]) {
    const made = await source(t, { type, config });
    assert.equal(made.type, type);
    assert.deepEqual(await svix.ingest.source.get(made.id), made);
    if (type === "cron") assert.deepEqual(made.config, config);
  }
});

test("settings that verify nothing are refused", async () => {
  const error = await refused(422, svix.ingest.source.create({ name: "x", type: "github", config: {} }));
  assert.deepEqual(error.body.detail[0].loc, ["body", "config", "secret"]);
});

test("sources are listed, replaced, given another URL and deleted", async (t) => {
  const made = await source(t);
  const api = svix.ingest.source;
  const all = await walk((options) => api.list(options), { limit: 2 });
  assert.ok(all.some((one) => one.id === made.id));
  const wanted = { name: "Two", type: "stripe", config: { secret: "whsec_a" }, uid: made.uid };
  const replaced = await api.upsert(made.id, wanted);
  assert.deepEqual([replaced.type, replaced.name, replaced.ingestUrl], ["stripe", "Two", made.ingestUrl]);
  const rotated = await api.rotateToken(made.id);
  assert.notEqual(rotated.ingestUrl, made.ingestUrl);
  assert.equal((await api.get(made.id)).ingestUrl, rotated.ingestUrl);
  await api.delete(made.id);
  await refused(404, api.get(made.id));
});

test("kinds that the client does not know do not break it", async (t) => {
  const uid = uniqueName();
  const body = { name: "Lab", type: "gitlab", config: { secret: "t" }, uid };
  assert.equal((await raw("POST", "/ingest/api/v1/source", body)).status, 201);
  t.after(() => svix.ingest.source.delete(uid));
  assert.equal((await svix.ingest.source.get(uid)).type, "generic-webhook");
  await walk((options) => svix.ingest.source.list(options), { limit: 250 });
});

test("endpoints of a source are managed, and its portal sees them", async (t) => {
  const receiver = await Receiver.open(t);
  const made = await source(t);
  const api = svix.ingest.endpoint;
  const one = await api.create(made.id, { url: receiver.url, uid: "one", headers: { "X-One": "1" } });
  assert.deepEqual(await api.get(made.id, "one"), one);
  assert.deepEqual((await api.list(made.id)).data, [one]);
  const changed = await api.upsert(made.id, one.id, { url: `${receiver.url}/2`, description: "moved" });
  assert.deepEqual([changed.id, changed.description], [one.id, "moved"]);
  await api.setHeaders(made.id, one.id, { headers: { "X-Two": "2" } });
  assert.deepEqual(Object.values((await api.getHeaders(made.id, one.id)).headers), ["2"]);
  const code = '{"id": "{{ body.id }}"}';
  await api.transformation.patch(made.id, one.id, { code, enabled: true });
  assert.equal((await api.transformation.get(made.id, one.id)).code, code);
  const { key } = await api.getSecret(made.id, one.id);
  await api.rotateSecret(made.id, one.id, {});
  assert.notEqual((await api.getSecret(made.id, one.id)).key, key);
  const access = await svix.ingest.authentication.consumerPortalAccess(made.id, {});
  const { appId } = (await raw("GET", `/ingest/api/v1/source/${made.id}`)).json();
  assert.equal((await clientWith(access.token).endpoint.list(appId)).data.length, 1);
  await api.delete(made.id, one.id);
  await refused(404, api.get(made.id, one.id));
});
