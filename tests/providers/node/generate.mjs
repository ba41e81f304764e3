// Requests signed by the providers' own npm libraries, as a JSON list in the file named by the first argument. The second is a
// folder with `key.pem` and `certificate.pem`, made by the Python suite.

import assert from "node:assert/strict";
import crypto from "node:crypto";
import { EventEmitter } from "node:events";
import fs from "node:fs";
import https from "node:https";
import { createRequire } from "node:module";
import path from "node:path";

const require = createRequire(import.meta.url);

/** For libraries that take nothing older than a few seconds: loading others may take longer than that. */
const thisSecond = () => Math.floor(Date.now() / 1000);
const NOW = thisSecond();
const BODY = '{"id":"evt_1","type":"thing.made","n":1.10,"text":"naïve ✓ </script>"}';
const URL_ = "https://example.com/in/source?a=b";
const WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SECRET = "s3cret_0123456789";

const vectors = [];

/** `name` begins with the package that signed or verified. */
function add(name, provider, settings, headers, more = {}) {
  vectors.push({
    name: `node: ${name}`,
    by: `${name.split(/,| for /)[0]} (npm)`,
    provider,
    settings,
    url: URL_,
    headers,
    body: BODY,
    at_ms: NOW * 1000,
    signed: Object.keys(headers),
    ...more,
  });
}

const hmac = (algorithm, key, text, encoding) => crypto.createHmac(algorithm, key).update(text).digest(encoding);

async function standardWebhooks() {
  // Those below svix send through Svix, and their documentation verifies with its library.
  const through_svix = [
    "svix", "beehiiv", "brex", "clerk", "guesty", "incident-io", "lithic", "nash", "pleo", "psi-fi",
    "render", "replicate", "resend", "safebase", "sardine", "stych",
  ];
  for (const [name, provider, prefix] of [
    ...through_svix.map((provider) => ["svix", provider, "svix"]),
    ["standardwebhooks", "standard-webhooks", "webhook"],
  ]) {
    const { Webhook } = require(name);
    const webhook = new Webhook(WHSEC);
    const headers = {
      [`${prefix}-id`]: "msg_1",
      [`${prefix}-timestamp`]: String(NOW),
      [`${prefix}-signature`]: webhook.sign("msg_1", new Date(NOW * 1000), BODY),
    };
    webhook.verify(BODY, headers);
    add(`${name} for ${provider}`, provider, { secret: WHSEC }, headers);
  }
}

/** The libraries of providers that send Standard Webhooks only verify. */
async function standardWebhooksOfTheirOwn() {
  const key = Buffer.from(WHSEC.slice("whsec_".length), "base64");
  const signature = `v1,${hmac("sha256", key, `msg_1.${NOW}.${BODY}`, "base64")}`;
  const named = (prefix) => ({
    [`${prefix}-id`]: "msg_1",
    [`${prefix}-timestamp`]: String(NOW),
    [`${prefix}-signature`]: signature,
  });

  const { default: OpenAI } = await import("openai");
  await new OpenAI({ apiKey: "key" }).webhooks.verifySignature(BODY, named("webhook"), WHSEC);
  add("openai", "open-ai", { secret: WHSEC }, named("webhook"));

  const { default: Lithic } = await import("lithic");
  new Lithic({ apiKey: "key" }).webhooks.verifySignature(BODY, named("webhook"), WHSEC);
  add("lithic", "lithic", { secret: WHSEC }, named("webhook"));

  const { validateWebhook } = require("replicate");
  assert(await validateWebhook({ headers: named("webhook"), body: BODY }, WHSEC));
  add("replicate", "replicate", { secret: WHSEC }, named("webhook"));

  const { Resend } = require("resend");
  const parts = { id: "msg_1", timestamp: String(NOW), signature };
  new Resend("re_1").webhooks.verify({ payload: BODY, headers: parts, webhookSecret: WHSEC });
  add("resend", "resend", { secret: WHSEC }, named("svix"));

  const { verifyWebhook } = require("@clerk/backend/webhooks");
  const request = new Request(URL_, { method: "POST", headers: named("svix"), body: BODY });
  await verifyWebhook(request, { signingSecret: WHSEC });
  add("@clerk/backend", "clerk", { secret: WHSEC }, named("svix"));
}

async function stripe() {
  const { default: Stripe } = await import("stripe");
  const { webhooks } = new Stripe("sk_test_1");
  const header = webhooks.generateTestHeaderString({ payload: BODY, secret: SECRET, timestamp: NOW });
  webhooks.constructEvent(BODY, header, SECRET);
  add("stripe", "stripe", { secret: SECRET }, { "stripe-signature": header });
}

async function github() {
  const { sign, verify } = await import("@octokit/webhooks-methods");
  const signature = await sign(SECRET, BODY);
  assert(await verify(SECRET, BODY, signature));
  add("@octokit/webhooks-methods", "github", { secret: SECRET }, { "x-hub-signature-256": signature });
}

async function shopify() {
  await import("@shopify/shopify-api/adapters/web-api");
  const { shopifyApi, ApiVersion, LogSeverity } = await import("@shopify/shopify-api");
  const versions = Object.values(ApiVersion);
  const api = shopifyApi({
    apiKey: "key",
    apiSecretKey: SECRET,
    scopes: [],
    hostName: "example.com",
    apiVersion: versions[versions.length - 1],
    isEmbeddedApp: false,
    logger: { level: LogSeverity.Error },
  });
  const hash = hmac("sha256", SECRET, BODY, "base64");
  const known = {
    "x-shopify-topic": "orders/create",
    "x-shopify-shop-domain": "a.myshopify.com",
    "x-shopify-api-version": "2024-01",
    "x-shopify-webhook-id": "1",
  };
  const headers = { ...known, "x-shopify-hmac-sha256": hash };
  const rawRequest = new Request(URL_, { method: "POST", headers, body: BODY });
  const validated = await api.webhooks.validate({ rawBody: BODY, rawRequest });
  assert(validated.valid, JSON.stringify(validated));
  add("@shopify/shopify-api", "shopify", { secret: SECRET }, headers, { signed: ["x-shopify-hmac-sha256"] });
}

async function twilio() {
  const { getExpectedTwilioSignature, getExpectedBodyHash, validateRequest, validateRequestWithBody } = require("twilio/lib/webhooks/webhooks");
  const fields = { MessageSid: "SM1", Body: "hello world", From: "555" };
  const form = "MessageSid=SM1&Body=hello+world&From=555";
  let signature = getExpectedTwilioSignature(SECRET, URL_, fields);
  assert(validateRequest(SECRET, signature, URL_, fields));
  add("twilio, form", "twilio", { secret: SECRET }, { "content-type": "application/x-www-form-urlencoded", "x-twilio-signature": signature }, {
    body: form,
    signed: ["x-twilio-signature"],
  });
  const url = `${URL_}&bodySHA256=${getExpectedBodyHash(BODY)}`;
  signature = getExpectedTwilioSignature(SECRET, url, {});
  assert(validateRequestWithBody(SECRET, signature, url, BODY));
  add("twilio, JSON", "twilio", { secret: SECRET }, { "content-type": "application/json", "x-twilio-signature": signature }, {
    url,
    signed: ["x-twilio-signature"],
  });
}

async function square() {
  const { WebhooksHelper } = require("square");
  const signature = hmac("sha256", SECRET, URL_ + BODY, "base64");
  const request = { requestBody: BODY, signatureHeader: signature, signatureKey: SECRET, notificationUrl: URL_ };
  assert(await WebhooksHelper.verifySignature(request));
  add("square", "square", { secret: SECRET }, { "x-square-hmacsha256-signature": signature });
}

async function discord() {
  const { verifyKey } = require("discord-interactions");
  const { publicKey, privateKey } = crypto.generateKeyPairSync("ed25519");
  const key = publicKey.export({ type: "spki", format: "der" }).subarray(-32).toString("hex");
  const signature = crypto.sign(null, Buffer.from(NOW + BODY), privateKey).toString("hex");
  assert(await verifyKey(BODY, signature, String(NOW), key));
  add("discord-interactions", "discord", { publicKey: key }, {
    "x-signature-ed25519": signature,
    "x-signature-timestamp": String(NOW),
  });
}

async function telnyx() {
  const { TelnyxWebhook } = require("telnyx/lib/webhooks");
  const { publicKey, privateKey } = crypto.generateKeyPairSync("ed25519");
  const key = publicKey.export({ type: "spki", format: "der" }).subarray(-32).toString("base64");
  const headers = {
    "telnyx-signature-ed25519": crypto.sign(null, Buffer.from(`${NOW}|${BODY}`), privateKey).toString("base64"),
    "telnyx-timestamp": String(NOW),
  };
  await new TelnyxWebhook(key).verify(BODY, headers);
  add("telnyx", "telnyx", { publicKey: key }, headers);
}

async function notion() {
  const { signWebhookPayload, verifyWebhookSignature } = require("@notionhq/client");
  const signature = await signWebhookPayload({ body: BODY, verificationToken: SECRET });
  assert(await verifyWebhookSignature({ body: BODY, signature, verificationToken: SECRET }));
  add("@notionhq/client", "notion", { secret: SECRET }, { "x-notion-signature": signature });
}

async function razorpay() {
  const { validateWebhookSignature } = require("razorpay/dist/utils/razorpay-utils");
  const signature = hmac("sha256", SECRET, BODY, "hex");
  assert(validateWebhookSignature(BODY, signature, SECRET));
  add("razorpay", "razorpay", { secret: SECRET }, { "x-razorpay-signature": signature });
}

async function adyen() {
  const { hmacValidator: Validator } = require("@adyen/api-library");
  const validator = new Validator();
  const key = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";
  const item = {
    pspReference: "7914073381342284",
    originalReference: "",
    merchantAccountCode: "TestMerchant",
    merchantReference: "TestPayment-1407325143704",
    amount: { value: 1130, currency: "EUR" },
    eventCode: "AUTHORISATION",
    success: "true",
    additionalData: {},
  };
  item.additionalData.hmacSignature = validator.calculateHmac(item, key);
  assert(validator.validateHMAC(item, key));
  const body = JSON.stringify({ live: "false", notificationItems: [{ NotificationRequestItem: item }] });
  const names = ["pspReference", "merchantAccountCode", "merchantReference", "amount/currency", "eventCode", "success", "additionalData/hmacSignature"];
  const signed_fields = names.map((name) => `/notificationItems/0/NotificationRequestItem/${name}`);
  add("@adyen/api-library", "adyen", { secret: key }, {}, { body, signed_fields });
}

async function hubspot() {
  const { Signature } = require("@hubspot/api-client/lib/src/utils/signature");
  const timestamp = NOW * 1000;
  const options = { clientSecret: SECRET, requestBody: BODY, url: URL_, timestamp };
  const signature = Signature.getSignature("POST", "v3", options);
  assert(Signature.isValid({ method: "POST", signatureVersion: "v3", signature, ...options }));
  add("@hubspot/api-client", "hubspot", { secret: SECRET }, {
    "x-hubspot-signature-v3": signature,
    "x-hubspot-request-timestamp": String(timestamp),
  });
}

async function paddle() {
  const { Paddle } = require("@paddle/paddle-node-sdk");
  const { webhooks } = new Paddle("key");
  const now = thisSecond();
  const header = `ts=${now};h1=${hmac("sha256", SECRET, `${now}:${BODY}`, "hex")}`;
  assert(await webhooks.isSignatureValid(BODY, SECRET, header));
  add("@paddle/paddle-node-sdk", "paddle", { secret: SECRET }, { "paddle-signature": header }, { at_ms: now * 1000 });
}

async function linear() {
  const { LinearWebhookClient } = await import("@linear/sdk/webhooks");
  const at_ms = thisSecond() * 1000;
  const body = JSON.stringify({ action: "create", type: "Issue", webhookTimestamp: at_ms });
  const signature = hmac("sha256", SECRET, body, "hex");
  assert(new LinearWebhookClient(SECRET).verify(Buffer.from(body), signature));
  add("@linear/sdk", "linear", { secret: SECRET }, { "linear-signature": signature }, { body, at_ms });
}

async function x() {
  const { validateSignature } = require("twitter-autohook");
  const headers = { "x-twitter-webhooks-signature": `sha256=${hmac("sha256", SECRET, BODY, "base64")}` };
  assert(validateSignature(headers, { consumer_secret: SECRET }, BODY));
  add("twitter-autohook", "x", { secret: SECRET }, headers);
}

async function nango() {
  const { Nango } = require("@nangohq/node");
  const headers = { "x-nango-hmac-sha256": hmac("sha256", SECRET, BODY, "hex") };
  assert(new Nango({ secretKey: SECRET }).verifyIncomingWebhookRequest(BODY, headers));
  add("@nangohq/node", "nango", { secret: SECRET }, headers);
}

async function mailgun() {
  const mailgun = require("mailgun-js");
  const token = "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0";
  const signature = hmac("sha256", SECRET, `${NOW}${token}`, "hex");
  const verifier = mailgun({ apiKey: SECRET, domain: "example.com" });
  assert(verifier.validateWebhook(String(NOW), token, signature));
  const body = JSON.stringify({ signature: { timestamp: String(NOW), token, signature }, "event-data": { event: "opened" } });
  const signed_fields = ["timestamp", "token", "signature"].map((name) => `/signature/${name}`);
  add("mailgun-js", "mailgun", { secret: SECRET }, {}, { body, signed_fields });
}

/** Zoom's library verifies what a function of AWS Lambda is called with, and writes its JSON anew before. */
async function zoom() {
  const { AwsLambdaReceiver } = await import("@zoom/rivet/users");
  const body = JSON.stringify({ event: "meeting.started", event_ts: NOW * 1000, payload: { object: { id: "1" } } });
  const headers = {
    "x-zm-request-timestamp": String(NOW),
    "x-zm-signature": `v0=${hmac("sha256", SECRET, `v0:${NOW}:${body}`, "hex")}`,
  };
  const receiver = new AwsLambdaReceiver({ webhooksSecretToken: SECRET });
  receiver.init({ eventEmitter: { emit: async () => {} } });
  console.debug = () => {};
  const ask = (headers) => receiver.start()({ body, headers, isBase64Encoded: false }, {});
  assert.equal((await ask({ ...headers, "x-zm-request-timestamp": "1" })).statusCode, 400);
  assert.equal((await ask(headers)).statusCode, 200);
  add("@zoom/rivet", "zoom", { secret: SECRET }, headers, { body });
}

async function telegram() {
  const { Bot, webhookCallback } = require("grammy");
  const botInfo = { id: 1, is_bot: true, first_name: "bot", username: "bot" };
  const callback = webhookCallback(new Bot("1:token", { botInfo }), "std/http", { secretToken: SECRET });
  const body = '{"update_id":1}';
  const headers = { "x-telegram-bot-api-secret-token": SECRET };
  const ask = (headers) => callback(new Request(URL_, { method: "POST", headers, body }));
  assert.equal((await ask({ "x-telegram-bot-api-secret-token": "another" })).status, 401);
  assert.equal((await ask(headers)).status, 200);
  add("grammy", "telegram", { secret: SECRET }, headers, { body });
}

/** A library of nobody's in particular, for providers that publish none. */
async function tern() {
  const { WebhookVerificationService } = require("@hookflo/tern");
  for (const [platform, headers] of [
    ["woocommerce", { "x-wc-webhook-signature": hmac("sha256", SECRET, BODY, "base64") }],
    ["gitlab", { "x-gitlab-token": SECRET }],
  ]) {
    const request = new Request(URL_, { method: "POST", headers, body: BODY });
    const { isValid, error } = await WebhookVerificationService.verifyWithPlatformConfig(request, platform, SECRET);
    assert(isValid, error);
    add(`@hookflo/tern for ${platform}`, platform, { secret: SECRET }, headers);
  }
}

/** What sns-validator would fetch, without a network. */
function serve(text) {
  https.get = (_, answer) => {
    const response = new EventEmitter();
    response.statusCode = 200;
    process.nextTick(() => {
      answer(response);
      response.emit("data", text);
      response.emit("end");
    });
    return new EventEmitter();
  };
}

async function sns(folder) {
  const Validator = require("sns-validator");
  const key = fs.readFileSync(path.join(folder, "key.pem"), "utf8");
  const certificate = fs.readFileSync(path.join(folder, "certificate.pem"), "utf8");
  serve(certificate);
  for (const [version, algorithm] of [["1", "RSA-SHA1"], ["2", "RSA-SHA256"]]) {
    for (const type of ["Notification", "SubscriptionConfirmation"]) {
      const message = {
        Type: type,
        MessageId: "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        TopicArn: "arn:aws:sns:us-west-2:123456789012:MyTopic",
        Message: "line one\nline two",
        Timestamp: "2012-05-02T00:54:06.655Z",
        SignatureVersion: version,
        SigningCertURL: "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-1.pem",
      };
      const control = { Token: "233641", SubscribeURL: "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription" };
      Object.assign(message, type === "Notification" ? { Subject: "My First Message" } : control);
      const signable = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];
      const content = signable.filter((name) => name in message).map((name) => `${name}\n${message[name]}\n`);
      message.Signature = crypto.sign(algorithm, Buffer.from(content.join("")), key).toString("base64");
      await new Promise((done, fail) => new Validator().validate(message, (error) => (error ? fail(error) : done())));
      const settings = { topicArn: message.TopicArn };
      const signed_fields = [...signable, "Signature", "SignatureVersion"].filter((name) => name in message).map((name) => `/${name}`);
      add(`sns-validator, version ${version}, ${type}`, "aws-sns", settings, {}, { body: JSON.stringify(message), certificate, signed_fields });
    }
  }
}

const [out, folder] = process.argv.slice(2);
await standardWebhooks();
await standardWebhooksOfTheirOwn();
await stripe();
await github();
await shopify();
await twilio();
await square();
await discord();
await telnyx();
await notion();
await razorpay();
await adyen();
await hubspot();
await paddle();
await linear();
await x();
await nango();
await mailgun();
await zoom();
await telegram();
await tern();
await sns(folder);
fs.writeFileSync(out, JSON.stringify(vectors));
