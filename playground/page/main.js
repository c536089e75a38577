// The page: it puts what is written to the core, which decides everything, and shows what that says.

import { json } from "@codemirror/lang-json";
import init, * as core from "core";
import packed from "core.packed";
import { editConfiguration, sentence, underline } from "./configuration.js";
import { $, h } from "./dom.js";
import { edit, goTo, setText, textOf } from "./editor.js";
import { examples } from "./examples.js";
import { fromFragment, toFragment } from "./link.js";
import { notice, steps } from "./outcome.js";
import { unpacked } from "./packing.js";

// Long enough that no key is slowed down by what it causes.
const PAUSE_MS = 120;
const INPUTS = ["method", "url", "headers", "route", "peer", "certificate", "time"];
const EMPTY = { method: "GET", url: "https://api.example.com/", headers: "", token: "none", dpop: false, claims: "", route: "", peer: "", certificate: "", time: "", number: 1 };

let pending;
let configuration;
let claims;

async function start() {
  await init({ module_or_path: await unpacked(packed) });
  configuration = editConfiguration($("configuration"), JSON.parse(core.schema()), soon);
  claims = edit($("claims"), "What the authorization server says of the token", json(), soon);
  $("request").addEventListener("input", soon);
  $("request").addEventListener("submit", (event) => event.preventDefault());
  $("number").addEventListener("change", soon);
  $("link").addEventListener("click", copyLink);
  $("examples").append(...examples.map((example) => choice(example.title, () => choose(example))));
  window.addEventListener("hashchange", follow);
  choose(examples[0]);
  await follow();
  document.documentElement.dataset.ready = "";
}

/** Does what the address says, if it says anything. */
async function follow() {
  try {
    const state = await fromFragment(location.hash);
    if (state === null) return;
    press("examples", null);
    offer([]);
    write(state);
    say("");
  } catch {
    say("This link cannot be read: was all of it copied?");
  }
}

async function copyLink() {
  history.replaceState(null, "", await toFragment(read()));
  try {
    await navigator.clipboard.writeText(location.href);
    say("The link is copied. Everyone with it can read this configuration.");
  } catch {
    say("The link is in the address bar. Everyone with it can read this configuration.");
  }
}

function say(text) {
  $("notice").textContent = text;
}

function choice(title, chosen) {
  return h("button", { type: "button", onclick: chosen, "aria-pressed": "false" }, title);
}

function press(group, title) {
  for (const button of $(group).children) button.setAttribute("aria-pressed", String(button.textContent === title));
}

function choose(example) {
  press("examples", example.title);
  offer(example.requests);
  write({ ...example.requests[0].state, configuration: example.configuration });
  press("tries", example.requests[0].title);
}

/** Offers requests to try with the configuration that is there. */
function offer(requests) {
  const buttons = requests.map(({ title, state }) => choice(title, () => {
    write({ ...state, configuration: textOf(configuration), number: read().number });
    press("tries", title);
  }));
  $("tries").replaceChildren(...buttons);
}

function read() {
  const state = Object.fromEntries(INPUTS.map((name) => [name, $(name).value]));
  const token = document.querySelector("input[name=token]:checked")?.value ?? "none";
  const number = Number($("number").value) || 1;
  return { ...state, token, dpop: $("dpop").checked, claims: textOf(claims), configuration: textOf(configuration), number };
}

/** Whatever a link says of a field, the field gets as text. */
function write(given) {
  const state = { ...EMPTY, ...given };
  for (const name of INPUTS) $(name).value = String(state[name]);
  for (const radio of document.querySelectorAll("input[name=token]")) radio.checked = radio.value === state.token;
  $("dpop").checked = state.dpop === true;
  $("more").open = ["route", "peer", "certificate"].some((name) => $(name).value !== "");
  $("number").replaceChildren(h("option", {}, String(Number(state.number) || 1)));
  setText(claims, String(state.claims));
  setText(configuration, String(state.configuration ?? ""));
  update();
}

function soon(event) {
  if (event?.isTrusted) {
    press("tries", null);
  }
  $("steps").ariaBusy = "true";
  clearTimeout(pending);
  pending = setTimeout(update, PAUSE_MS);
}

function update() {
  clearTimeout(pending);
  const state = read();
  const hasToken = state.token !== "none";
  $("claims-field").hidden = !hasToken;
  $("dpop").parentElement.hidden = !hasToken;
  $("claims-title").textContent = state.token === "jwt" ? "Its claims" : "What the authorization server says of it";
  const [report] = JSON.parse(core.check(state.configuration)).files;
  underline(configuration, report);
  showFindings(report);
  showWhich(report.configurations, state.number);
  $("steps").replaceChildren(...outcome(state, report));
  $("steps").ariaBusy = "false";
}

function showFindings({ errors, warnings }) {
  const item = (kind) => (finding) => h("li", { className: kind },
    h("button", { type: "button", onclick: () => goTo(configuration, finding) },
      h("span", {}, `${finding.line}:${finding.column}`), " ", sentence(finding)));
  $("findings").replaceChildren(...errors.map(item("error")), ...warnings.map(item("warning")));
  $("verdict").className = `verdict ${errors.length > 0 ? "bad" : "good"}`;
  $("verdict").textContent = [counted(errors.length, "error"), warnings.length > 0 ? counted(warnings.length, "warning") : null]
    .filter(Boolean).join(", ");
}

const counted = (count, noun) => (count === 0 ? `No ${noun}s` : count === 1 ? `1 ${noun}` : `${count} ${noun}s`);

function showWhich(configurations, number) {
  $("which").hidden = configurations.length < 2;
  const option = ({ line }, index) => h("option", { value: index + 1, selected: index + 1 === number }, `line ${line}`);
  $("number").replaceChildren(...configurations.map(option));
}

function outcome(state, { errors, configurations }) {
  if (errors.length > 0) return notice("Nothing yet", h("p", {}, "A filter with such a configuration refuses every request. Correct its errors first."));
  const asked = {
    configuration: configurations.length > 1 ? state.number : null,
    request: {
      method: state.method,
      url: state.url,
      headers: state.headers.split("\n").filter((line) => line.trim() !== ""),
      route: state.route || null,
      peer: state.peer || null,
      certificate: state.certificate || null,
    },
    claims: state.token === "none" ? null : state.claims,
    is_jwt: state.token === "jwt",
    proves_possession: state.token !== "none" && state.dpop,
    now: state.time ? Date.parse(`${state.time}Z`) : Date.now(),
  };
  try {
    return steps(JSON.parse(core.explain(state.configuration, JSON.stringify(asked))), (place) => goTo(configuration, place));
  } catch (error) {
    return notice("Nothing yet", h("p", {}, typeof error === "string" ? `${error[0].toUpperCase()}${error.slice(1)}.` : `The core failed: ${error}`));
  }
}

start();
