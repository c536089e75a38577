// What becomes of a request, step by step, as `explain` says it.

import { h } from "./dom.js";

/** The steps of an explanation, as elements. `show` shows a place of the configuration. */
export function steps({ explanation, rules }, show) {
  return [ruleStep(rules, explanation, show), ...noteStep(explanation), ...askedSteps(explanation), outcomeStep(explanation)];
}

/** A step that is all there is to say. */
export const notice = (title, ...children) => [step("waiting", title, ...children)];

function step(kind, title, ...children) {
  return h("li", { className: `step ${kind}` }, h("h3", {}, title), children);
}

function ruleStep(rules, explanation, show) {
  const isOwn = explanation.outcome === "answered";
  if (rules.length === 0) {
    return step(isOwn ? "plain" : "bad", "Rule", h("p", {}, isOwn ? "None is needed." : "None matches this request."));
  }
  const title = rules.length === 1 ? "Rule" : "Rules";
  return step("plain", title, rules.map((rule) => [
    h("p", {}, h("button", { type: "button", className: "place", onclick: () => show(rule) }, `${rule.path}, line ${rule.line}`)),
    pairs(rule.members),
  ]));
}

function noteStep({ note }) {
  return note ? [step("warn", "Note", h("p", {}, note))] : [];
}

function askedSteps({ asked, outcome }) {
  if (asked.length === 0) return [step("plain", "Authorization server", h("p", {}, "Not asked."))];
  return asked.map(({ method, url, upstream, status, media_type: mediaType }) => step("plain", "Authorization server",
    h("p", { className: "code" }, `${method} ${url}`),
    pairs([
      ["upstream", upstream],
      ["answer", status === null ? "not known" : `${status} ${mediaType}`.trim()],
    ]),
    outcome === "waiting" ? h("p", {}, "Choose what kind of token it is, and write what the server says of it.") : null,
  ));
}

function outcomeStep(explanation) {
  const { outcome } = explanation;
  if (outcome === "waiting") return step("waiting", "The request waits", h("p", {}, "for an answer of the authorization server."));
  return outcome === "forwarded" ? forwardedStep(explanation) : answeredStep(explanation);
}

function answeredStep({ outcome, status, reason, member, headers, body }) {
  const isRefused = outcome === "refused";
  return step(isRefused ? "bad" : "good", isRefused ? "The client is refused" : "The gateway answers itself",
    h("p", { className: "verdict" }, h("b", {}, String(status)), reason ? [" ", h("code", {}, reason)] : null),
    reason ? h("p", {}, chapter(reason)) : null,
    member ? h("p", {}, "because of ", h("code", {}, member)) : null,
    headers.map(({ name, value }) => name === "www-authenticate" ? challenge(value) : field(name, value)),
    body ? h("pre", { tabIndex: 0, "aria-label": "Body" }, formatted(body)) : null,
  );
}

function forwardedStep({ shadow_denied: reported, set, removed, filter_state: state }) {
  return step(reported ? "warn" : "good", "The service receives it",
    h("p", { className: "verdict" }, h("b", {}, "Forwarded")),
    reported ? [h("p", {}, "It would be refused as ", h("code", {}, reported), ", which is only reported here."), h("p", {}, chapter(reported))] : null,
    set.length + removed.length === 0 ? h("p", {}, "As it came.") : null,
    set.map(({ name, value }) => field(name, value, "set")),
    removed.map((name) => field(name, "", "removed")),
    state.length > 0 ? [h("h4", {}, "Filter state"), state.map(({ name, value }) => field(`wasm.${name}`, value))] : null,
  );
}

function chapter(reason) {
  return h("a", { href: `../docs/troubleshooting.html#${reason}`, className: "chapter" }, "What it means, and what to do");
}

function field(name, value, kind = "") {
  const label = { set: "set", removed: "removed" }[kind];
  return h("p", { className: `field ${kind}` }, label ? h("span", { className: "sr" }, `${label}: `) : null, h("b", {}, name), value ? `: ${value}` : "");
}

/** One line for each parameter: a comma inside quotation marks is none between them. */
function challenge(value) {
  const parameters = value.match(/(?:"(?:[^"\\]|\\.)*"|[^,"])+/g) ?? [value];
  const lines = parameters.map((parameter, index) => h("span", {}, parameter.trim() + (index < parameters.length - 1 ? "," : "")));
  return h("p", { className: "field challenge" }, h("b", {}, "www-authenticate"), ": ", lines);
}

function pairs(members) {
  return h("dl", {}, members.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

function formatted(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}
