// All that is on the page, as the fragment of a link. Browsers send fragments to no server.

import { packed, unpacked } from "./packing.js";

const NAME = "#try=";
// A link is someone else's: it must not fill the memory.
const MAX_BYTES = 1 << 20;

export async function toFragment(state) {
  const bytes = await packed(new TextEncoder().encode(JSON.stringify(state)));
  const base64 = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  return NAME + base64.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** The state in a fragment, or null where there is none. Throws where it cannot be read. */
export async function fromFragment(fragment) {
  if (!fragment.startsWith(NAME)) return null;
  const base64 = fragment.slice(NAME.length).replaceAll("-", "+").replaceAll("_", "/");
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const state = JSON.parse(new TextDecoder().decode(await unpacked(bytes, MAX_BYTES)));
  if (typeof state !== "object" || state === null) throw new Error("no state");
  return state;
}
