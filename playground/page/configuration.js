// The editor of the configuration: what the schema knows is offered and told, what `check` finds is underlined.

import { yaml, yamlLanguage } from "@codemirror/lang-yaml";
import { indentService, syntaxTree } from "@codemirror/language";
import { setDiagnostics } from "@codemirror/lint";
import { hoverTooltip } from "@codemirror/view";
import { h } from "./dom.js";
import { edit, numbered, offsetOf, textOf } from "./editor.js";
import { fieldAt, placeOf, schemasAt } from "./schema.js";

export function editConfiguration(parent, schema, changed) {
  const complete = yamlLanguage.data.of({ autocomplete: (context) => completions(schema, context) });
  const tell = hoverTooltip((view, at) => documentation(schema, view, at));
  return edit(parent, "Configuration", yaml(), changed, [numbered, complete, tell, INDENTATION]);
}

/** Underlines errors and warnings, as `check` names their places. */
export function underline(view, { errors, warnings }) {
  const doc = view.state.doc;
  const diagnostic = (severity) => (finding) => {
    const from = offsetOf(doc, finding);
    return { from, to: endOf(view, from), severity, message: sentence(finding) };
  };
  const diagnostics = [...errors.map(diagnostic("error")), ...warnings.map(diagnostic("warning"))];
  view.dispatch(setDiagnostics(view.state, diagnostics));
}

export const sentence = ({ path, message }) => (path ? `${path}: ${message}` : message);

/** What begins here: the value or the name, within its line. */
function endOf(view, from) {
  const line = view.state.doc.lineAt(from);
  const node = syntaxTree(view.state).resolveInner(from, 1);
  const isLeaf = node.from === from && node.firstChild === null && !["{", "[", "-"].includes(node.name);
  const end = isLeaf ? Math.min(node.to, line.to) : line.from + line.text.trimEnd().length;
  return Math.max(end, Math.min(from + 1, line.to));
}

function completions(schema, context) {
  const place = placeOf(textOf(context), context.pos);
  if (place === null || (place.from === place.to && !context.explicit && !isEmptyValue(context, place))) return null;
  const schemas = schemasAt(schema, place.path);
  const options = place.isName ? fields(schemas, place) : [];
  if (options.length === 0) options.push(...values(schemas));
  return options.length === 0 ? null : { from: place.from, to: place.to, options, validFor: /^[\w.-]*$/ };
}

const isEmptyValue = (context, place) => /[:\-[,] $/.test(context.state.sliceDoc(place.from - 2, place.from));

function fields(schemas, { siblings, isFollowed }) {
  const found = new Map();
  for (const { properties = {}, required = [] } of schemas) {
    for (const [name, field] of Object.entries(properties)) {
      if (siblings.includes(name)) continue;
      found.set(name, {
        label: name,
        apply: isFollowed ? name : name + beginning(field),
        detail: detail(field, required.includes(name)),
        info: () => explained(name, field),
        boost: required.includes(name) ? 1 : 0,
        type: "property",
      });
    }
  }
  return [...found.values()];
}

function values(schemas) {
  const words = schemas.flatMap((one) => one.enum ?? (one.type === "boolean" ? [true, false] : []));
  return [...new Set(words)].map((word) => ({ label: String(word), type: "constant" }));
}

const beginning = (field) => (field.type === "object" && !field.anyOf ? ":" : ": ");

function detail(field, isRequired) {
  if (isRequired) return "required";
  if (field.default !== undefined && typeof field.default !== "object") return String(field.default);
  return { array: "list", object: "section" }[field.type] ?? "";
}

function documentation(schema, view, at) {
  const field = fieldAt(syntaxTree(view.state), textOf(view), at);
  const [known] = field ? schemasAt(schema, field.path) : [];
  if (!known?.description) return null;
  const dom = explained(field.path.filter((name) => name !== null).join("."), known);
  return { pos: field.from, end: field.to, create: () => ({ dom }) };
}

function explained(name, { description = "", default: fallback }) {
  const parts = description.split("`").map((part, index) => (index % 2 ? h("code", {}, part) : part));
  const last = fallback === undefined ? [] : [" Default: ", h("code", {}, JSON.stringify(fallback)), "."];
  return h("div", { className: "documentation" }, h("b", {}, name), h("br"), parts, last);
}

// Behind a name without a value, a section or a list begins.
const INDENTATION = indentService.of((context, at) => {
  const { text } = context.lineAt(at, -1);
  return text.trimEnd().endsWith(":") ? /^[\s-]*/.exec(text)[0].length + context.unit : undefined;
});
