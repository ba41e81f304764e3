// HTTP message signatures (RFC 9421), order and batches: verified with the npm package http-message-signatures, by the code that
// docs/receiving.md shows to receivers.

import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import test from "node:test";
import { Webhook } from "standardwebhooks";
import { Receiver } from "../lib/receiver.mjs";
import { snippet } from "../lib/snippet.mjs";
import { raw, svix, world } from "../lib/world.mjs";

const { signedRequest } = await snippet("signedRequest");

/** An endpoint with fields that the SDK does not know; its receiver judges nothing by itself. */
async function connect(app, receiver, fields) {
  receiver.accepts = () => true;
  const answer = await raw("POST", `/api/v1/app/${app.id}/endpoint`, { url: receiver.url, ...fields });
  assert.equal(answer.status, 201, answer.text);
  return answer.json();
}

async function publish(app, eventType, orderingKey, payload = { n: 1 }) {
  const answer = await raw("POST", `/api/v1/app/${app.id}/msg`, { eventType, payload, orderingKey });
  assert.equal(answer.status, 202, answer.text);
  return answer.json();
}

const secretOf = async (app, endpoint) => (await svix.endpoint.getSecret(app.id, endpoint.id)).key;

function freshPair() {
  const { privateKey } = generateKeyPairSync("ed25519");
  const { d, x } = privateKey.export({ format: "jwk" });
  const [seed, shown] = [d, x].map((part) => Buffer.from(part, "base64url"));
  return {
    secret: `whsk_${Buffer.concat([seed, shown]).toString("base64")}`,
    publicKey: `whpk_${shown.toString("base64")}`,
  };
}

const verified = (secret, receiver, request) =>
  signedRequest(secret, receiver.url, request.method, request.headers, request.body);

/** Every way in which somebody on the way could change the request; none may verify. */
async function refusesChanges(secret, receiver, request) {
  const { url } = receiver;
  const { method, headers, body } = request;
  assert.equal(await signedRequest(secret, `${url}?x=1`, method, headers, body), false, "the URL");
  assert.equal(await signedRequest(secret, url, "PUT", headers, body), false, "the method");
  assert.equal(await signedRequest(secret, url, method, headers, Buffer.from("{}")), false, "the body");
  const covered = Object.keys(headers).filter((name) => /^(webhook-(?!signature)|content-(type|digest)$)/.test(name));
  assert.ok(covered.length >= 4, covered.join());
  for (const name of covered) {
    const changed = { ...headers, [name]: `${headers[name]}1` };
    assert.equal(await signedRequest(secret, url, method, changed, body), false, `${name} changed`);
    const { [name]: _, ...without } = headers;
    assert.equal(await signedRequest(secret, url, method, without, body), false, `${name} taken away`);
  }
  const added = { "webhook-sequence": "1", ...headers };
  const unchanged = "webhook-sequence" in headers;
  assert.equal(await signedRequest(secret, url, method, added, body), unchanged, "a number added");
}

test("a shared secret signs the request", async (t) => {
  const { app, eventType } = await world(t);
  const receiver = await Receiver.open(t);
  const made = await connect(app, receiver, { httpSignatures: true });
  const secret = await secretOf(app, made);
  const message = await publish(app, await eventType("ping"), undefined, { é: "ü" });
  const [sent] = await receiver.of(message.id);
  assert.match(sent.headers["signature-input"], /^sig1=\(.*\);created=\d+;keyid="ep_.*";alg="hmac-sha256";tag="bellwire"$/);
  assert.ok(await verified(secret, receiver, sent), sent.headers["signature-input"]);
  new Webhook(secret).verify(sent.body, sent.headers);
  await refusesChanges(secret, receiver, sent);
});

test("order headers are covered, and both live keys of different kinds sign", async (t) => {
  const { app, eventType } = await world(t);
  const receiver = await Receiver.open(t);
  const made = await connect(app, receiver, { httpSignatures: true, ordering: "key", retrySchedule: [] });
  const shared = await secretOf(app, made);
  const pair = freshPair();
  await svix.endpoint.rotateSecret(app.id, made.id, { key: pair.secret });
  const ping = await eventType("ping");
  const { place } = await snippet("place");
  const found = [];
  for (const status of [200, 500, 200]) {
    receiver.answer(status);
    const message = await publish(app, ping, "customer 42/ä");
    const [sent] = await receiver.of(message.id);
    assert.equal(sent.headers["webhook-ordering-key"], "customer%2042/%C3%A4");
    assert.match(sent.headers["signature-input"], /sig1=.*alg="ed25519".*, sig2=.*alg="hmac-sha256"/);
    for (const secret of [pair.publicKey, shared]) {
      assert.ok(await verified(secret, receiver, sent), `${secret.slice(0, 5)} of ${sent.headers["signature-input"]}`);
      await refusesChanges(secret, receiver, sent);
    }
    assert.equal(await verified(freshPair().publicKey, receiver, sent), false);
    found.push([sent.headers["webhook-sequence"], sent.headers["webhook-previous-sequence"]]);
    if (status === 200) assert.deepEqual(place(sent.headers), { is: "next" });
  }
  assert.deepEqual(found, [["1", "0"], ["2", "1"], ["3", "1"]], "2 was given up");
  assert.deepEqual(
    place({ "webhook-ordering-key": "customer%2042/%C3%A4", "webhook-sequence": "9", "webhook-previous-sequence": "7" }),
    { is: "gap", missing: [4, 7] },
  );
});

test("two live shared secrets both sign", async (t) => {
  const { app, eventType } = await world(t);
  const receiver = await Receiver.open(t);
  const made = await connect(app, receiver, { httpSignatures: true });
  const old = await secretOf(app, made);
  await svix.endpoint.rotateSecret(app.id, made.id, {});
  const fresh = await secretOf(app, made);
  const [sent] = await receiver.of((await publish(app, await eventType("ping"))).id);
  for (const secret of [fresh, old]) {
    assert.ok(await verified(secret, receiver, sent));
    await refusesChanges(secret, receiver, sent);
  }
});

test("without asking there are no further headers", async (t) => {
  const { app, eventType } = await world(t);
  const receiver = await Receiver.open(t);
  await connect(app, receiver, {});
  const [sent] = await receiver.of((await publish(app, await eventType("ping"), "k")).id);
  const names = Object.keys(sent.headers).filter((name) => /signature|digest|sequence|ordering/.test(name));
  assert.deepEqual(names.sort(), ["svix-signature", "webhook-signature"]);
});

for (const format of ["json", "cloudevents"]) {
  test(`a batch (${format}) is signed and taken apart`, async (t) => {
    const { app, eventType } = await world(t);
    const receiver = await Receiver.open(t);
    const batch = { maxMessages: 3, maxWaitMs: 20_000, format };
    const made = await connect(app, receiver, { httpSignatures: true, ordering: "key", batch });
    const secret = await secretOf(app, made);
    const ping = await eventType("ping");
    const ids = [];
    for (const n of [1, 2, 3]) ids.push((await publish(app, ping, `key ${n}`, { n })).id);
    const [sent] = await receiver.wait();
    assert.match(sent.headers["webhook-id"], /^batch_[0-9A-Za-z]{27}$/);
    const type = format === "json" ? "application/json" : "application/cloudevents-batch+json";
    assert.equal(sent.headers["content-type"], type);
    assert.ok(await verified(secret, receiver, sent));
    await refusesChanges(secret, receiver, sent);
    new Webhook(secret).verify(sent.body, sent.headers);
    const { messagesOf } = await snippet("messagesOf");
    const messages = messagesOf(sent.headers, sent.body);
    assert.deepEqual(messages.map(({ id }) => id).sort(), [...ids].sort());
    assert.deepEqual(messages.map(({ type, data }) => [type, data.n]).sort(), [[ping, 1], [ping, 2], [ping, 3]]);
    const [first] = JSON.parse(sent.body);
    if (format === "json") assert.deepEqual([first.sequence, first.previousSequence], [1, 0]);
    else assert.deepEqual([first.specversion, first.sequence, first.datacontenttype], ["1.0", "00000000000000000001", "application/json"]);
  });
}
