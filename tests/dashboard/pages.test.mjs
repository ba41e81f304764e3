// Every page, light and dark, from phone to wide: no violation that axe-core knows, and a picture of each.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import AxeBuilder from "@axe-core/playwright";
import { launch, signedIn } from "./browser.mjs";
import { api, close, fill, url } from "./world.mjs";

const pictures = process.env.PICTURES ?? "pictures";
mkdirSync(pictures, { recursive: true });

let world, browser;
const paths = {};

before(async () => {
  world = await fill();
  browser = await launch();
  const at = `/app/${world.app.id}`;
  const endpoint = `${at}/endpoint/${world.endpoints.bad.id}`;
  const first = world.messages[0].id;
  const attempts = await api("GET", `/api/v1${at}/attempt/msg/${first}`);
  const failed = attempts.data.find((attempt) => attempt.responseStatusCode === 503);
  const token = await api("POST", "/api/v1/token", { name: `Reader ${world.tag}`, scope: "read" });
  const task = await api("POST", `/api/v1${endpoint}/recover`, { since: "2026-01-01T00:00:00Z" });
  if (world.source) await fetch(`${url}/in/payments-${world.tag}`, { method: "POST", body: "{}", headers: { "content-type": "application/json" } });
  Object.assign(paths, {
    overview: "/",
    problems: "/problem",
    live: "/live",
    search: "/search?q=A-3",
    applications: "/app",
    application: at,
    messages: `${at}/msg`,
    message: `${at}/msg/${first}`,
    attempt: `${at}/msg/${first}/attempt/${failed.id}`,
    endpoint,
    "endpoint-new": `${at}/endpoint`,
    settings: `${endpoint}/setting`,
    replay: `${endpoint}/replay`,
    impact: `${endpoint}/impact?verb=delete`,
    sources: "/source",
    doctor: "/doctor",
    "event-types": "/event-type",
    "event-type": "/event-type/invoice.paid",
    tasks: "/task",
    task: `/task/${task.id}`,
    tokens: "/token",
    "token-impact": `/token/${token.id}/impact`,
    nodes: "/node",
    "application-impact": `${at}/impact?verb=delete`,
    "event-type-new": "/new/event-type",
    "event-type-settings": "/event-type/invoice.paid/setting",
    "event-type-impact": "/event-type/invoice.paid/impact?verb=disable",
    "source-new": "/new/source",
    "settings-in-force": "/setting",
    audit: "/audit",
    help: "/help",
    error: "/app/nobody",
  });
  if (world.source) {
    paths.source = `/source/${world.source.id}`;
    paths["source-settings"] = `${paths.source}/setting`;
    paths["source-impact"] = `${paths.source}/impact?verb=rotate`;
  }
});

after(async () => {
  await browser?.close();
  if (world) close(world);
});

/** Judges a page and takes its picture. */
async function look(page, name, path, kind) {
  await page.goto(path);
  await page.waitForLoadState("domcontentloaded");
  const { violations } = await new AxeBuilder({ page }).analyze();
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html} ${node.failureSummary}`).join("\n")}`);
  await page.screenshot({ path: join(pictures, `${name}-${kind}.png`), fullPage: true });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  return [...found, ...(wide > 0 ? [`the page is ${wide} pixels wider than its window`] : [])].map((text) => `${name} ${kind}: ${text}`);
}

for (const [kind, options] of Object.entries({
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  phone: { colorScheme: "light", viewport: { width: 390, height: 844 } },
})) {
  test(`every page, ${kind}`, async () => {
    const page = await signedIn(browser, options);
    const found = [];
    for (const [name, path] of Object.entries(paths)) found.push(...(await look(page, name, path, kind)));
    assert.deepEqual(found, []);
    assert.deepEqual(page.wrong, []);
    await page.context().close();
  });
}

test("the sign-in and the portal, light and dark", async () => {
  const found = [];
  for (const colorScheme of ["light", "dark"]) {
    const context = await browser.newContext({ colorScheme, baseURL: url, viewport: { width: 1100, height: 800 } });
    const page = await context.newPage();
    found.push(...(await look(page, "sign-in", "/sign-in", colorScheme)));
    const access = await api("POST", `/api/v1/auth/app-portal-access/${world.app.id}`, {});
    await page.goto(access.url);
    await page.waitForURL((at) => !at.pathname.endsWith("/sign-in"));
    found.push(...(await look(page, "portal", "/portal", colorScheme)));
    found.push(...(await look(page, "portal-endpoint", `/portal/app/${world.app.id}/endpoint/${world.endpoints.bad.id}`, colorScheme)));
    await context.close();
  }
  assert.deepEqual(found, []);
});

test("reading and changing work without JavaScript", async () => {
  const context = await browser.newContext({ javaScriptEnabled: false, baseURL: url });
  const page = await context.newPage();
  await page.goto("/sign-in");
  await page.getByLabel("Token").fill(process.env.BELLWIRE_TOKEN);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.goto(paths.endpoint);
  await page.getByRole("button", { name: "Pause" }).click();
  assert.match(await page.locator("main").innerText(), /Paused: nothing is sent/);
  await page.getByRole("button", { name: "Resume" }).click();
  await context.close();
});

test("the keyboard alone reaches a list's rows and the search box", async () => {
  const page = await signedIn(browser);
  await page.goto("/app");
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/app\/app_/);
  await page.keyboard.press("Control+k");
  assert.equal(await page.evaluate(() => document.activeElement.id), "find");
  await page.keyboard.press("Escape");
  await page.keyboard.press("?");
  await page.waitForURL(/\/help$/);
  await page.context().close();
});

test("the live page shows what happens", async () => {
  const page = await signedIn(browser);
  await page.goto("/live");
  await page.getByText("Watching").waitFor();
  await api("POST", `/api/v1/app/${world.app.id}/msg`, { eventType: "invoice.paid", eventId: "live-1", payload: { amount: 1 } });
  await page.locator("#live tbody tr", { hasText: "accepted" }).first().waitFor();
  await page.locator("#live tbody tr", { hasText: "succeeded" }).first().waitFor();
  await page.screenshot({ path: join(pictures, "live-light.png") });
  assert.deepEqual(page.wrong, []);
  await page.context().close();
});

test("the nodes page says which one this is", async () => {
  const page = await signedIn(browser);
  await page.goto("/");
  await page.getByRole("link", { name: "Nodes" }).click();
  assert.match(await page.locator("main").innerText(), /this one/);
  await page.context().close();
});

test("an event type is made, changed and deleted, and a mistake keeps what was typed", async () => {
  const page = await signedIn(browser);
  const name = `order.made.${world.tag}`;
  const hostile = "<img src=x onerror=alert(1)>";
  await page.goto("/event-type");
  await page.getByRole("link", { name: "New event type" }).click();
  await page.getByLabel(/^Name/).fill(name);
  await page.getByLabel(/^Description/).fill(hostile);
  await page.getByLabel(/^Schemas/).fill('{"1": {"type": "no-such"}}');
  await page.getByRole("button", { name: "Make it" }).click();
  assert.match(await page.locator("#schemas-wrong").innerText(), /not a JSON Schema/);
  assert.equal(await page.getByLabel(/^Schemas/).getAttribute("aria-describedby"), "schemas-wrong");
  assert.equal(await page.getByLabel(/^Name/).inputValue(), name);
  assert.equal(await page.getByLabel(/^Description/).inputValue(), hostile);
  const { violations } = await new AxeBuilder({ page }).analyze();
  assert.deepEqual(violations.map(({ id }) => id), []);
  await page.getByLabel(/^Schemas/).fill('{"1": {"type": "object"}}');
  await page.getByRole("button", { name: "Make it" }).click();
  await page.waitForURL(/said=made/);
  assert.match(await page.locator("main").innerText(), /<img src=x/);
  assert.equal(await page.locator("main img").count(), 0);
  await page.locator("main").getByRole("link", { name: "Settings", exact: true }).click();
  await page.locator("main").getByLabel(/^Group/).fill("orders");
  await page.getByRole("button", { name: "Save" }).click();
  await page.waitForURL(/said=saved/);
  await page.getByRole("link", { name: "Delete…" }).click();
  assert.match(await page.locator("main").innerText(), /What it would break/);
  await page.getByRole("button", { name: "Delete" }).click();
  await page.waitForURL(/said=deleted/);
  assert.deepEqual(page.wrong, []);
  await page.context().close();
});

test("a source is made, changed and deleted, and its secret is in no page", async () => {
  const page = await signedIn(browser);
  const secret = `s3cret-${world.tag}`;
  await page.goto("/source");
  await page.getByRole("link", { name: "New source" }).click();
  await page.getByLabel(/^Name/).fill(`Pushes ${world.tag}`);
  await page.getByLabel(/^Type/).fill("githup");
  await page.getByLabel(/^Secret settings/).fill(`secret: ${secret}`);
  await page.getByRole("button", { name: "Make it" }).click();
  assert.match(await page.locator("#type-wrong").innerText(), /no source has the type/);
  assert.equal(await page.getByLabel(/^Name/).inputValue(), `Pushes ${world.tag}`);
  assert.ok(!(await page.content()).includes(secret), "the secret is not in the page");
  await page.getByLabel(/^Type/).fill("github");
  await page.getByLabel(/^Secret settings/).fill(`secret: ${secret}`);
  await page.getByRole("button", { name: "Make it" }).click();
  await page.waitForURL(/said=made/);
  await page.locator("main").getByRole("link", { name: "Settings", exact: true }).click();
  assert.match(await page.locator("main").innerText(), /Kept unless you write them anew: secret/);
  assert.ok(!(await page.content()).includes(secret), "the secret is not in the page");
  await page.getByLabel(/^Rules/).fill("{");
  await page.getByRole("button", { name: "Save" }).click();
  assert.match(await page.locator("#rules-wrong").innerText(), /no JSON/);
  await page.getByLabel(/^Rules/).fill('{"dedupe": "body.id"}');
  await page.getByRole("button", { name: "Save" }).click();
  await page.waitForURL(/said=saved/);
  await page.getByRole("link", { name: "Delete…" }).click();
  assert.match(await page.locator("main").innerText(), /answered 404/);
  await page.getByRole("button", { name: "Delete" }).click();
  await page.waitForURL(/said=deleted/);
  assert.deepEqual(page.wrong, []);
  await page.context().close();
});

test("a portal opens no page of the operator's", async () => {
  const context = await browser.newContext({ baseURL: url });
  const page = await context.newPage();
  const access = await api("POST", `/api/v1/auth/app-portal-access/${world.app.id}`, {});
  await page.goto(access.url);
  await page.waitForURL((at) => !at.pathname.endsWith("/sign-in"));
  for (const path of ["source", "token", "application-impact", "event-type-impact", "event-type-settings", "event-type-new", "source-new", "nodes", "token-impact"]) {
    // With the portal's cookie, as the page has it; an answer without a page cannot be gone to.
    const answer = await context.request.get(`/portal${paths[path] ?? `/${path}`}`);
    assert.equal(answer.status(), 404, path);
  }
  await context.close();
});
