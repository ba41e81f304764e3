// What every test starts from: the official client, a bare one, an application nobody else uses.
//
// BELLWIRE_URL and BELLWIRE_TOKEN (an admin token) name a running server started with `--dev`.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { ApiException, Svix } from "svix";

function required(name) {
  const value = process.env[name];
  if (!value) {
    console.error(`${name} is not set: start \`bellwire serve --dev\` and export it`);
    process.exit(2);
  }
  return value;
}

export const serverUrl = required("BELLWIRE_URL").replace(/\/+$/, "");
const token = required("BELLWIRE_TOKEN");
export const svix = new Svix(token, { serverUrl });

export const clientWith = (otherToken) => new Svix(otherToken, { serverUrl });
export const uniqueName = () => `js${randomUUID().replaceAll("-", "").slice(0, 12)}`;
export const hourAgo = () => new Date(Date.now() - 3_600_000);
export const hourAhead = () => new Date(Date.now() + 3_600_000);

/** For what the SDK hides: status codes, exact bytes, additive fields. A string body goes out as it is. */
export async function raw(method, path, body, headers = {}) {
  const answer = await fetch(serverUrl + path, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, text, json: () => JSON.parse(text) };
}

/** An application of this test's own, with helpers bound to it; removed when the test ends. */
export async function world(t) {
  const name = uniqueName();
  const app = await svix.application.create({ name: `suite ${name}`, uid: `${name}-app` });
  const eventTypes = [];
  t.after(async () => {
    for (const full of eventTypes) await gone(svix.eventType.delete(full, { expunge: true }));
    await gone(svix.application.delete(app.id));
  });
  return {
    name,
    app,
    async eventType(suffix) {
      const full = `${name}.${suffix}`;
      await svix.eventType.create({ name: full, description: `${suffix} of a test` });
      eventTypes.push(full);
      return full;
    },
    /** `retry` is Bellwire's additive `retrySchedule`, which the SDK cannot send. */
    async connect(receiver, { retry, ...fields } = {}) {
      let made;
      if (retry === undefined) {
        made = await svix.endpoint.create(app.id, { url: receiver.url, ...fields });
      } else {
        const body = { url: receiver.url, retrySchedule: retry, ...fields };
        const answer = await raw("POST", `/api/v1/app/${app.id}/endpoint`, body);
        assert.equal(answer.status, 201, answer.text);
        made = answer.json();
      }
      receiver.secrets.push((await svix.endpoint.getSecret(app.id, made.id)).key);
      return made;
    },
    publish: (eventType, payload = { n: 1 }, fields = {}) =>
      svix.message.create(app.id, { eventType, payload, ...fields }),
  };
}

/** Awaits a removal that the test may have done itself. */
async function gone(removal) {
  try {
    await removal;
  } catch (error) {
    if (error.code !== 404) throw error;
  }
}

/** The call must be refused with `status`, and the body must have the documented shape. */
export async function refused(status, call) {
  let error;
  try {
    await call;
  } catch (thrown) {
    error = thrown;
  }
  assert.ok(error instanceof ApiException, `expected ${status}, got ${error ?? "an answer"}`);
  assert.equal(error.code, status, JSON.stringify(error.body));
  if (status === 422) {
    assert.ok(error.body.detail.length > 0);
    for (const item of error.body.detail) {
      assert.ok(Array.isArray(item.loc) && item.msg && item.type, JSON.stringify(item));
    }
  } else {
    assert.ok(typeof error.body.code === "string" && typeof error.body.detail === "string");
  }
  return error;
}

/** Asks again until `look` resolves to something true, or fails after the deadline. */
export async function eventually(what, look) {
  const end = Date.now() + 30_000;
  for (let wait = 20; ; wait = Math.min(wait * 1.5, 500)) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < end, `never happened: ${what}`);
    await pause(wait);
  }
}

/** Polls a background task until it ends, and insists that it ended well. */
export async function finished(task) {
  const done = await eventually(`task ${task.id} ends`, async () => {
    const now = await svix.backgroundTask.get(task.id);
    return now.status !== "running" && now;
  });
  assert.equal(done.status, "finished", JSON.stringify(done));
  assert.equal(done.task, task.task);
  return done;
}

/** Every item of a list, page by page. */
export async function walk(list, options = {}) {
  const all = [];
  for (let iterator; ; ) {
    const page = await list({ ...options, iterator });
    all.push(...page.data);
    if (page.done) return all;
    iterator = page.iterator;
  }
}
