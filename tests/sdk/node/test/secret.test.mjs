// Secrets and signatures: v1 by the published libraries, v1a (Ed25519) by Node's crypto.

import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, randomBytes, verify as verifySignature } from "node:crypto";
import test from "node:test";
import { Receiver, verifies, verify } from "../lib/receiver.mjs";
import { refused, svix, world } from "../lib/world.mjs";

const freshSecret = () => `whsec_${randomBytes(24).toString("base64")}`;

test("a generated secret signs both header families alike", async (t) => {
  const { app, connect, eventType, publish } = await world(t);
  const receiver = await Receiver.open(t);
  const made = await connect(receiver);
  const { key } = await svix.endpoint.getSecret(app.id, made.id);
  assert.match(key, /^whsec_[A-Za-z0-9+/]{32,}=*$/);
  const message = await publish(await eventType("ping"));
  const [sent] = await receiver.of(message.id);
  verify(sent, key);
  assert.equal(verifies(sent, freshSecret()), false);
  assert.equal(verifies({ ...sent, body: Buffer.from("{}") }, key), false);
  assert.equal(sent.headers["webhook-id"], message.id);
  for (const part of ["id", "timestamp", "signature"]) {
    assert.equal(sent.headers[`svix-${part}`], sent.headers[`webhook-${part}`]);
  }
});

test("during the grace the old and the new secret both verify", async (t) => {
  const { app, connect, eventType, publish } = await world(t);
  const receiver = await Receiver.open(t);
  const secret = freshSecret();
  const made = await connect(receiver, { secret });
  assert.equal((await svix.endpoint.getSecret(app.id, made.id)).key, secret);
  await svix.endpoint.rotateSecret(app.id, made.id, {});
  const { key } = await svix.endpoint.getSecret(app.id, made.id);
  receiver.secrets.push(key);
  assert.notEqual(key, secret);
  const ping = await eventType("ping");
  let [sent] = await receiver.of((await publish(ping)).id);
  verify(sent, secret);
  verify(sent, key);

  const last = freshSecret();
  receiver.secrets.push(last);
  await svix.endpoint.rotateSecret(app.id, made.id, { key: last, gracePeriodSeconds: 0 });
  [sent] = await receiver.of((await publish(ping)).id);
  verify(sent, last);
  assert.equal(verifies(sent, key), false);
});

test("bad secrets are refused", async (t) => {
  const { app } = await world(t);
  const receiver = await Receiver.open(t);
  for (const secret of ["short", `whsec_${"!".repeat(40)}`, `whsec_${"A".repeat(200)}`]) {
    await refused(422, svix.endpoint.create(app.id, { url: receiver.url, secret }));
  }
});

/** Whether one of the v1a signatures fits the public key, over the raw bytes. */
function signedByEd25519(request, publicKey) {
  const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures } = request.headers;
  const signed = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), request.body]);
  return signatures
    .split(" ")
    .filter((s) => s.startsWith("v1a,"))
    .some((s) => verifySignature(null, signed, publicKey, Buffer.from(s.slice(4), "base64")));
}

test("an endpoint with an Ed25519 key is signed v1a", async (t) => {
  const { app, eventType, publish } = await world(t);
  const receiver = await Receiver.open(t);
  const pair = generateKeyPairSync("ed25519");
  const { d, x } = pair.privateKey.export({ format: "jwk" });
  // `whsk_` holds the 32 seed bytes followed by the 32 bytes of the public key.
  const both = Buffer.concat([Buffer.from(d, "base64url"), Buffer.from(x, "base64url")]);
  receiver.accepts = (request) => signedByEd25519(request, pair.publicKey);
  await svix.endpoint.create(app.id, { url: receiver.url, secret: `whsk_${both.toString("base64")}` });
  const ping = await eventType("ping");
  const [sent] = await receiver.of((await publish(ping, { é: "ü" })).id);
  assert.ok(signedByEd25519(sent, pair.publicKey), sent.headers["webhook-signature"]);
  assert.ok(!signedByEd25519({ ...sent, body: Buffer.from("{}") }, pair.publicKey));
  assert.ok(!signedByEd25519(sent, generateKeyPairSync("ed25519").publicKey));
});

test("the public key shown for an Ed25519 endpoint is the one that verifies", async (t) => {
  const { app, eventType, publish } = await world(t);
  const receiver = await Receiver.open(t);
  const { privateKey } = generateKeyPairSync("ed25519");
  const { d, x } = privateKey.export({ format: "jwk" });
  const both = Buffer.concat([Buffer.from(d, "base64url"), Buffer.from(x, "base64url")]);
  const made = await svix.endpoint.create(app.id, { url: receiver.url, secret: `whsk_${both.toString("base64")}` });
  const { key } = await svix.endpoint.getSecret(app.id, made.id);
  assert.match(key, /^whpk_/);
  const shown = Buffer.from(key.slice(5), "base64").toString("base64url");
  const publicKey = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: shown }, format: "jwk" });
  receiver.accepts = (request) => signedByEd25519(request, publicKey);
  await receiver.of((await publish(await eventType("ping"))).id);
});
