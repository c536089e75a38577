// Makes the calls that the page's own server lists, one after the other, and tells that server of each all that a page may
// know: what it can read of the answer, or that the browser lets it read nothing.

const visit = location.pathname;
const calls = await (await fetch(`${visit}/calls`)).json();
const findings = [];
for (const call of calls) {
  findings.push(await finding(call));
}
await fetch(`${visit}/findings`, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(findings),
});
document.querySelector('#findings').textContent = findings.map(({ status, error }) => status ?? error).join('\n');

async function finding({ url, method, headers, cookie }) {
  try {
    document.cookie = cookie ?? '';
    const response = await fetch(url, { method, headers, credentials: cookie ? 'include' : 'same-origin' });
    const { status } = response;
    return { status, headers: Object.fromEntries(response.headers), body: await response.text() };
  } catch (error) {
    return { error: String(error) };
  }
}
