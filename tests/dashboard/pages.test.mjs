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
    "settings-in-force": "/setting",
    audit: "/audit",
    help: "/help",
    error: "/app/nobody",
  });
  if (world.source) paths.source = `/source/${world.source.id}`;
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
