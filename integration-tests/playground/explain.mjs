// Answers what is asked of the playground's module, line by line, as the page does.
//
//   node explain.mjs CORE

import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";

const [folder] = process.argv.slice(2);
const script = await readFile(`${folder}/core.js`, "utf8");
const core = await import(`data:text/javascript,${encodeURIComponent(script)}`);
core.initSync({ module: await readFile(`${folder}/core_bg.wasm`) });

for await (const line of createInterface({ input: process.stdin })) {
  const { configuration, asked } = JSON.parse(line);
  console.log(core.explain(JSON.stringify(configuration), JSON.stringify(asked)));
}
