// The twelve questions of docs/questions.md, each answered in the browser.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, signedIn } from "./browser.mjs";
import { api, close, fill, until } from "./world.mjs";

let world, browser, page;

before(async () => {
  world = await fill();
  browser = await launch();
  page = await signedIn(browser);
});

after(async () => {
  await browser?.close();
  if (world) close(world);
});

const main = () => page.locator("main");
const says = async (pattern) => assert.match(await main().innerText(), pattern);
const endpoint = (which, rest = "") => `/app/${world.app.id}/endpoint/${world.endpoints[which].id}${rest}`;
const message = (at = 0) => `/app/${world.app.id}/msg/${world.messages[at].id}`;

/** From anywhere: the search box, then the first find. */
async function find(words) {
  await page.locator("main").focus();
  await page.keyboard.press("/");
  await page.keyboard.type(words);
  await page.keyboard.press("Enter");
  await page.locator(".hits a").first().click();
}

test("1: did my event arrive", async () => {
  await page.goto("/");
  await find(`${world.tag}-3`);
  await says(/invoice\.paid/);
  await says(/received/);
  await says(new RegExp(world.messages[3].id));
});

test("2: why not", async () => {
  await page.goto(message());
  const card = page.locator(".destination", { hasText: "Warehouse" });
  assert.match(await card.innerText(), /failed/);
  assert.match(await card.innerText(), /503/);
});

test("3: why did this endpoint not match", async () => {
  await page.goto(message(2));
  const card = page.locator(".destination", { hasText: "Big orders" });
  assert.match(await card.innerText(), /not sent/);
  assert.match(await card.innerText(), /amount > 1000/);
  assert.match(await card.innerText(), /200/);
});

test("4: what exactly was sent and answered", async () => {
  await page.goto(message());
  await page.locator(".timeline a", { hasText: "503" }).first().click();
  await says(/webhook-signature: v1,/);
  await says(/"order":\s*"A-0"/);
  await says(/HTTP 503/);
  await says(/x-receiver: test/);
  await says(/the cellar is flooded/);
});

test("5: when is the next try", async () => {
  await page.goto(message());
  const card = page.locator(".destination", { hasText: "Analytics" });
  assert.match(await card.innerText(), /Next try\s+in \d+ (s|min|h)/);
});

test("6: who is failing now and since when", async () => {
  await page.goto("/");
  await says(/failing/);
  await says(/Warehouse|127\.0\.0\.1/);
  await says(/since .* ago/);
});

test("7: replay these", async () => {
  world.receivers.bad.mode = "good";
  const before = world.receivers.bad.got.length;
  await page.goto("/problem");
  await page.locator("article.problem", { hasText: "status_unavailable" }).filter({ hasText: world.tag }).getByRole("button", { name: /Retry all/ }).click();
  await says(/1[0-9] messages would be sent again/);
  await page.getByRole("button", { name: "Send them again" }).click();
  await page.waitForURL(/\/task\//);
  const end = Date.now() + 15_000;
  while (world.receivers.bad.got.length < before + 12 && Date.now() < end) await new Promise((done) => setTimeout(done, 50));
  assert.ok(world.receivers.bad.got.length >= before + 12);
  await page.goto(page.url());
  await says(/finished/);
});

test("8: what did I miss", async () => {
  const late = await api("POST", `/api/v1/app/${world.app.id}/endpoint`, { url: world.receivers.good.url, description: "Late" });
  await page.goto(`/app/${world.app.id}/endpoint/${late.id}`);
  await page.getByRole("link", { name: "Recover and replay" }).click();
  await page.getByLabel(/never got/).check();
  await page.getByRole("button", { name: /Count first/ }).click();
  await says(/12 messages would be sent again/);
});

test("9: why does my signature not verify", async () => {
  const sent = world.receivers.good.got[0];
  const { key } = await api("GET", `/api/v1/app/${world.app.id}/endpoint/${world.endpoints.good.id}/secret`);
  const headers = Object.entries(sent.headers).map(([name, value]) => `${name}: ${value}`).join("\n");
  await page.goto("/doctor");
  await page.getByLabel(/^Headers/).fill(headers);
  await page.getByLabel(/^Body/).fill(`${sent.body} `);
  await page.getByLabel(/^Secret/).fill(key);
  await page.getByRole("button", { name: "Look at it" }).click();
  await says(/invalid/);
  assert.ok(!(await page.content()).includes(key), "the secret is not in the page");
  await page.getByLabel(/^Body/).fill(sent.body);
  await page.getByLabel(/^Secret/).fill(key);
  await page.getByRole("button", { name: "Look at it" }).click();
  await says(/\bvalid\b/);
});

test("10: is it slow because of us or of them", async () => {
  await page.goto(endpoint("slow"));
  await says(/Receivers answer after/);
  await says(/We begin after/);
  assert.ok((await page.locator(".charts svg").count()) >= 4);
});

test("11: what would this filter have matched last week", async () => {
  await page.goto(endpoint("good", "/setting"));
  await page.getByLabel(/^Filter/).fill("amount > 500");
  await page.getByRole("button", { name: /Backtest/ }).click();
  await says(/No longer sent\s*−[1-9]/);
  await says(/no longer sent/);
  assert.equal((await api("GET", `/api/v1/app/${world.app.id}/endpoint/${world.endpoints.good.id}`)).filter ?? null, null);
});

test("12: what breaks if I rotate, disable or delete this", async () => {
  await page.goto(endpoint("slow"));
  await page.getByRole("link", { name: "Disable…" }).click();
  await says(/What it would break/);
  await says(/deliver/);
});

test("an endpoint that recovers is shown as healthy, and one can be paused and resumed", async () => {
  await page.goto(endpoint("good"));
  await page.getByRole("button", { name: "Pause" }).click();
  await says(/paused/);
  await page.getByRole("button", { name: "Resume" }).click();
  await until(`/api/v1/app/${world.app.id}/endpoint/${world.endpoints.good.id}`, (endpoint) => !endpoint.paused);
  assert.deepEqual(page.wrong, []);
});
