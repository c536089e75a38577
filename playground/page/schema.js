// Where in a configuration a place is, and what the schema says may stand there. A configuration may stand in what a host reads.

import { yamlLanguage } from "@codemirror/lang-yaml";

const MARK = "x";
const SERVERS = ["introspection", "userinfo", "authorization_servers", "rules"];

/**
 * What is being written at `at`: from where to where the word is, the names of the fields around it, which of its siblings are
 * there, and whether it is a name or a value.
 */
export function placeOf(text, at) {
  const before = /[\w.-]*$/.exec(text.slice(0, at))[0];
  const after = /^[\w.-]*/.exec(text.slice(at))[0];
  const from = at - before.length;
  const to = at + after.length;
  const line = text.slice(text.lastIndexOf("\n", from - 1) + 1, from);
  const rest = /^[^\n]*/.exec(text.slice(to))[0];
  // A line of its own may begin an object; elsewhere, the word itself shows what it is.
  const isAlone = /^[\s-]*$/.test(line) && rest.trim() === "";
  const marked = text.slice(0, from) + MARK + (isAlone ? ":" : "") + text.slice(to);
  const node = yamlLanguage.parser.parse(marked).resolveInner(from, 1);
  const isName = node.parent?.name === "Key";
  const inside = isName ? node.parent.parent.parent : node.parent;
  const isDocument = inside?.name === "Document" || inside?.name === "Stream";
  if (!isName && !isDocument && !["Pair", "Item"].includes(inside?.name)) return null;
  const path = pathOf(inside, marked);
  if (path === null) return null;
  const siblings = isName ? namesIn(inside, marked).filter((name) => name !== MARK) : [];
  return { from, to, path, siblings, isName: isName || isDocument, isFollowed: /^\s*["']?\s*:/.test(rest) };
}

/** The path of the field whose name is at `at`. */
export function fieldAt(tree, text, at) {
  const node = tree.resolveInner(at, 1);
  const key = node.name === "Key" ? node : node.parent;
  if (key?.name !== "Key") return null;
  const path = pathOf(key.parent, text);
  return path && { path, from: key.from, to: key.to };
}

/** What the schema says about a path, as all alternatives that there are. */
export function schemasAt(schema, path) {
  let schemas = alternatives(schema);
  for (const name of path) {
    schemas = schemas.flatMap((one) => alternatives(name === null ? one.items : one.properties?.[name]));
  }
  return schemas;
}

function alternatives(schema) {
  if (schema === undefined || typeof schema !== "object") return [];
  return schema.anyOf ? schema.anyOf.flatMap((one) => alternatives({ ...schema, anyOf: undefined, ...one })) : [schema];
}

/** Names of fields, and null for an element of a list, from the configuration inwards. */
function pathOf(node, text) {
  const path = [];
  let whole = null;
  for (let around = node; around; around = around.parent) {
    if (around.name === "Pair") path.unshift(nameOf(around, text));
    if (around.name === "Item") path.unshift(null);
    const isMapping = around.name === "BlockMapping" || around.name === "FlowMapping";
    // The outermost is the configuration: one of several servers has an `introspection` as well.
    if (isMapping && namesIn(around, text).some((name) => SERVERS.includes(name))) whole = path.length;
    if (around.name === "Document" && whole === null) whole = path.length;
  }
  return whole === null ? null : path.slice(path.length - whole);
}

function namesIn(mapping, text) {
  return mapping.getChildren("Pair").map((pair) => nameOf(pair, text));
}

function nameOf(pair, text) {
  const key = pair.getChild("Key");
  return key ? text.slice(key.from, key.to).replace(/^["']|["']$/g, "") : "";
}
