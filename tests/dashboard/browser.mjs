// Debian's Chromium, driven by Playwright.

import { existsSync } from "node:fs";
import { chromium } from "playwright-core";
import { token, url } from "./world.mjs";

const executablePath = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser"].find((path) => path && existsSync(path));

/** A browser; in a container it runs without a sandbox of its own. */
export function launch() {
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

/** A page of somebody who is signed in. What goes wrong on it is an error of the test. */
export async function signedIn(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, baseURL: url, ...options });
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("console", (line) => {
    if (line.type() === "error" && !/Failed to load resource/.test(line.text())) wrong.push(line.text());
  });
  page.wrong = wrong;
  await page.goto(`/sign-in#token=${token}`);
  await page.waitForURL((at) => !at.pathname.startsWith("/sign-in"));
  return page;
}
