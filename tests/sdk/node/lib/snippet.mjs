// The code that docs/receiving.md shows, as modules that run: what receivers copy is what is tested.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = fileURLToPath(new URL("..", import.meta.url));
// The suite may run from a copy; then BELLWIRE_DOCS says where the docs are.
const docs = process.env.BELLWIRE_DOCS ?? join(here, "../../../docs");

/** The exports of the one JavaScript block of receiving.md that has this function. */
export async function snippet(name) {
  const text = await readFile(join(docs, "receiving.md"), "utf8");
  const blocks = [...text.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code);
  const found = blocks.filter((code) => code.includes(`function ${name}(`));
  if (found.length !== 1) throw new Error(`${found.length} blocks of receiving.md have ${name}`);
  // Beside the packages, so that its imports are found.
  const folder = join(here, "node_modules", ".snippets");
  await mkdir(folder, { recursive: true });
  const file = join(folder, `${name}-${process.pid}.mjs`);
  await writeFile(file, found[0]);
  return import(pathToFileURL(file));
}
