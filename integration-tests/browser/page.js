// Makes calls, one after the other, and finds of each all that a page may know: what it can read of the answer, or that the
// browser lets it read nothing.

window.makeCalls = async (calls) => {
  const findings = [];
  for (const call of calls) {
    findings.push(await finding(call));
  }
  return findings;
};

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
