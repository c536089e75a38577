// Bundles the page: one script, with the core in it, one style sheet and the page itself.
//
//   node build.mjs CORE FOLDER

import { copyFile, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { deflateRawSync } from "node:zlib";
import { build } from "esbuild";

const [core, folder] = process.argv.slice(2);
const source = (name) => fileURLToPath(new URL(name, import.meta.url));

// A text as it stands in a script is a third longer than its bytes: these are as few as they can be.
const packed = `${core}/core.packed`;
await writeFile(packed, deflateRawSync(await readFile(`${core}/core_bg.wasm`), { level: 9 }));

const { metafile } = await build({
  entryPoints: { playground: source("page/main.js") },
  alias: { core: `${core}/core.js`, "core.packed": packed },
  // Where the page is opened from a file, it may load a script, but no module.
  bundle: true,
  format: "iife",
  // wasm-bindgen's own way to find the core, which is not used here, is for modules.
  define: { "import.meta.url": "undefined" },
  loader: { ".packed": "binary", ".yaml": "text" },
  minify: true,
  target: "es2022",
  metafile: true,
  outdir: folder,
});
await build({ entryPoints: [source("page/playground.css")], minify: true, outdir: folder });
await copyFile(source("index.html"), `${folder}/index.html`);

const packages = new Set(Object.keys(metafile.inputs).map((input) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(input)?.[0]).filter(Boolean));
const licences = [...packages].sort().map(async (path) => `${path.replace(/.*node_modules\//, "")}\n\n${await readFile(`${path}/LICENSE`, "utf8")}`);
await writeFile(`${folder}/licences.txt`, (await Promise.all(licences)).join("\n"));
