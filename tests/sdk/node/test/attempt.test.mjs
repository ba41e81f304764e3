// Attempts, resend, recover, replays and their tasks through the npm SDK.

import assert from "node:assert/strict";
import test from "node:test";
import { BackgroundTaskType, MessageAttemptTriggerType, MessageStatus, StatusCodeClass } from "svix";
import { Receiver } from "../lib/receiver.mjs";
import { eventually, finished, hourAgo, raw, refused, svix, walk, world } from "../lib/world.mjs";

const settled = (app, message, count) =>
  eventually(`${count} attempts of ${message.id}`, async () => {
    const { data } = await svix.messageAttempt.listByMsg(app.id, message.id);
    return data.length >= count && data;
  });

const exhausted = (app, message) =>
  eventually(`${message.id} is exhausted`, async () => {
    const { data } = await svix.messageAttempt.listAttemptedDestinations(app.id, message.id);
    return data[0]?.status === MessageStatus.Fail;
  });

test("a failing receiver is tried again until it answers 200", async (t) => {
  const { app, connect, eventType, publish } = await world(t);
  const receiver = await Receiver.open(t);
  receiver.answer(500);
  const made = await connect(receiver, { retry: ["1s", "1s"] });
  const message = await publish(await eventType("ping"));
  const sent = await receiver.of(message.id, 2);
  assert.ok(sent[0].body.equals(sent[1].body));
  const found = await settled(app, message, 2);
  assert.deepEqual(
    found.map((a) => [a.responseStatusCode, a.status, a.statusText, a.triggerType]),
    [
      [200, MessageStatus.Success, "success", MessageAttemptTriggerType.Scheduled],
      [500, MessageStatus.Fail, "fail", MessageAttemptTriggerType.Scheduled],
    ],
  );
  for (const a of found) {
    assert.deepEqual([a.msgId, a.endpointId, a.url, a.response], [message.id, made.id, receiver.url, ""]);
    assert.ok(a.responseDurationMs >= 0 && !Number.isNaN(a.timestamp.getTime()));
  }

  const query = async (options) =>
    (await svix.messageAttempt.listByEndpoint(app.id, made.id, options)).data.map((a) => a.responseStatusCode);
  assert.deepEqual(await query(), [200, 500]);
  assert.deepEqual(await query({ status: MessageStatus.Fail }), [500]);
  assert.deepEqual(await query({ statusCodeClass: StatusCodeClass.Code2xx }), [200]);
  assert.deepEqual(await query({ statusCodeClass: StatusCodeClass.Code4xx }), []);
  assert.deepEqual(await query({ before: hourAgo() }), []);

  const whole = await svix.messageAttempt.get(app.id, message.id, found[0].id);
  assert.equal(whole.response, "thanks");
  const headers = await raw("GET", `/api/v1/app/${app.id}/msg/${message.id}/attempt/${found[0].id}/headers`);
  assert.equal(headers.status, 200, headers.text);
  const { sentHeaders, responseHeaders } = headers.json();
  const lower = Object.fromEntries(Object.entries(sentHeaders).map(([k, v]) => [k.toLowerCase(), v]));
  assert.equal(lower["webhook-id"], message.id);
  assert.ok(responseHeaders.some(([k, v]) => k.toLowerCase() === "x-receiver" && v === "node"));
  await svix.messageAttempt.expungeContent(app.id, message.id, found[0].id);
  assert.ok(!(await svix.messageAttempt.get(app.id, message.id, found[0].id)).response.includes("thanks"));
});

test("a message can be resent, and lists show where it went", async (t) => {
  const { app, connect, eventType, publish } = await world(t);
  const receiver = await Receiver.open(t);
  const made = await connect(receiver, { description: "here" });
  const message = await publish(await eventType("ping"), { n: 1 });
  await receiver.of(message.id);
  await settled(app, message, 1);
  await svix.messageAttempt.resend(app.id, message.id, made.id);
  await receiver.of(message.id, 2);
  assert.equal((await settled(app, message, 2))[0].triggerType, MessageAttemptTriggerType.Manual);
  const [destination] = (await svix.messageAttempt.listAttemptedDestinations(app.id, message.id)).data;
  assert.deepEqual([destination.id, destination.description, destination.url], [made.id, "here", receiver.url]);
  const [seen] = (await svix.messageAttempt.listAttemptedMessages(app.id, made.id, { withContent: true })).data;
  assert.deepEqual([seen.id, seen.payload, seen.statusText], [message.id, { n: 1 }, "success"]);
  await refused(404, svix.messageAttempt.resend(app.id, "msg_doesnotexist", made.id));
});

test("recover sends what failed, and the task ends", async (t) => {
  const { app, connect, eventType, publish } = await world(t);
  const receiver = await Receiver.open(t);
  const ping = await eventType("ping");
  const made = await connect(receiver, { retry: ["100ms"] });
  const good = await publish(ping);
  await receiver.of(good.id);
  receiver.always(500);
  const lost = await publish(ping);
  await exhausted(app, lost);
  receiver.always(200);
  const task = await svix.endpoint.recover(app.id, made.id, { since: hourAgo() });
  assert.equal(task.task, BackgroundTaskType.EndpointRecover);
  await receiver.of(lost.id, 3);
  assert.equal((await finished(task)).data.messagesSent, 1);
  assert.equal((await receiver.of(good.id)).length, 1);
  const listed = await walk((o) => svix.backgroundTask.list(o), {
    limit: 100,
    status: "finished",
    task: BackgroundTaskType.EndpointRecover,
  });
  assert.ok(listed.some((one) => one.id === task.id));
  await refused(404, svix.backgroundTask.get("qtask_doesnotexist"));
});

test("replays send what was never sent, and what was sent before", async (t) => {
  const { app, connect, eventType, publish } = await world(t);
  const receiver = await Receiver.open(t);
  const [a, b] = [await eventType("a"), await eventType("b")];
  const early = await publish(a);
  const made = await connect(receiver);
  const late = await publish(b);
  await receiver.of(late.id);
  await finished(await svix.endpoint.replayMissing(app.id, made.id, { since: hourAgo() }));
  await receiver.of(early.id);
  assert.equal((await receiver.of(late.id)).length, 1);
  await settled(app, early, 1);
  await finished(await svix.endpoint.bulkReplay(app.id, made.id, { since: hourAgo(), eventTypes: [b] }));
  await receiver.of(late.id, 2);
  assert.equal((await receiver.of(early.id)).length, 1);
});
