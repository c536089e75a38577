// A user at a browser: the provider's own pages to log in and to consent. Gives the parameters with which it sends them back.
export async function consent(authorization, redirect, user) {
  const cookies = new Map();
  let [next, form] = [authorization, undefined];
  for (let step = 0; step < 20; step += 1) {
    const headers = { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') };
    const answer = await fetch(next, { redirect: 'manual', headers, method: form ? 'POST' : 'GET', body: form });
    for (const cookie of answer.headers.getSetCookie()) {
      const [name, value] = cookie.split(';')[0].split('=');
      cookies.set(name, value);
    }
    form = undefined;
    const location = answer.headers.get('location');
    if (location) {
      next = new URL(location, next);
      if (next.href.startsWith(redirect)) {
        if (!next.searchParams.has('code')) throw new Error(`no code: ${next.search}`);
        return next.searchParams;
      }
      continue;
    }
    const page = await answer.text();
    const prompt = page.match(/name="prompt" value="(\w+)"/)?.[1];
    if (!prompt) throw new Error(`not a page of the provider's: ${answer.status} ${page.slice(0, 300)}`);
    form = new URLSearchParams({ prompt, login: user, password: 'any' });
    next = new URL(page.match(/action="([^"]+)"/)[1], next);
  }
  throw new Error('the provider goes round in circles');
}
