// Configurations to begin with, each with requests to try. Their time is fixed, so that the tokens do not end.

import curity from "./examples/curity.yaml";
import dpop from "./examples/dpop.yaml";
import keycloak from "./examples/keycloak.yaml";
import mcp from "./examples/mcp.yaml";
import reportOnly from "./examples/report-only.yaml";

const TIME = "2026-01-15T10:00:00";
const AN_HOUR_LATER = Date.parse(`${TIME}Z`) / 1000 + 3600;

export const examples = [
  example("Keycloak", keycloak, "https://login.example.com/realms/example", "orders-api", { typ: "Bearer" }, [
    ["A good token", { url: "/orders/7" }, { scope: "orders:read" }],
    ["Scope missing", { url: "/orders/7", method: "DELETE" }, { scope: "orders:read" }],
    ["No token", { url: "/orders/7", token: "none" }],
    ["Refresh token", { url: "/orders/7" }, { typ: "Refresh", scope: "orders:read" }],
    ["Staff only", { url: "/reports/2025" }, { scope: "orders:read", groups: ["staff"] }],
    ["Public", { url: "/health", token: "none" }],
    ["Path tricks", { url: "/health/..;/orders" }, { scope: "orders:read" }],
  ]),
  example("Curity", curity, "https://login.example.com", "orders-api", {}, [
    ["A good token", { url: "/orders/7", headers: "X-User: mallory" }, { scope: "orders:read" }],
    ["Step-up", { url: "/orders/7/refund", method: "POST" }, { scope: "orders:read", acr: "silver" }],
    ["Another audience", { url: "/orders/7" }, { aud: "billing-api", scope: "orders:read" }],
    ["Not active", { url: "/orders/7" }, { active: false }],
    ["Two tokens", { url: "/orders/7", headers: "Authorization: Bearer one\nAuthorization: Bearer two" }, { scope: "orders:read" }],
  ]),
  example("DPoP", dpop, "https://login.example.com", "payments-api", {}, [
    ["With its proof", { url: "/payments", method: "POST", dpop: true }, { scope: "payments" }],
    ["Stolen", { url: "/balance" }, { cnf: { jkt: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" } }],
    ["Not bound", { url: "/payments", method: "POST" }, { scope: "payments" }],
    ["No token", { url: "/payments", method: "POST", token: "none" }],
    ["Another key", { url: "/payments", method: "POST", dpop: true }, { scope: "payments", cnf: { jkt: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" } }],
  ]),
  example("MCP", mcp, "https://login.example.com", "https://mcp.example.com/calendar", {}, [
    ["No token", { url: "/calendar", method: "POST", token: "none" }],
    ["Metadata", { url: "/.well-known/oauth-protected-resource/calendar", token: "none" }],
    ["A good token", { url: "/calendar", method: "POST" }, { scope: "calendar" }],
    ["Another server’s", { url: "/mail", method: "POST" }, { scope: "mail:read" }],
    ["Scope missing", { url: "/calendar", method: "POST" }, { scope: "profile" }],
  ], "https://mcp.example.com"),
  example("Report-only", reportOnly, "https://login.example.com", "orders-api", {}, [
    ["Scope missing", { url: "/orders/7" }, { scope: "profile" }],
    ["Claim missing", { url: "/admin" }, { scope: "profile", groups: ["guests"] }],
    ["A good token", { url: "/orders/7" }, { scope: "orders:read" }],
    ["No token", { url: "/orders/7", token: "none" }],
  ]),
];

/** An example: what its tokens say, and of each request what is different. */
function example(title, configuration, issuer, audience, common, requests, origin = "https://api.example.com") {
  const claims = (own) => own.active === false ? own
    : { iss: issuer, aud: audience, sub: "alice", client_id: "web-shop", exp: AN_HOUR_LATER, ...common, ...own };
  return {
    title,
    configuration,
    requests: requests.map(([name, { url, ...rest }, own]) => ({
      title: name,
      state: {
        token: "opaque", time: TIME, ...rest, url: origin + url,
        claims: JSON.stringify(claims(own ?? {}), null, 2),
      },
    })),
  };
}
