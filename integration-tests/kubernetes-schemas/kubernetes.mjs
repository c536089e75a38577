// What the APIs of Kubernetes, Gateway API and Envoy Gateway say of resources: JSON texts of them, one a line, on standard input; for
// each, a JSON list of mistakes.
//
// The packages hold the CustomResourceDefinitions as compiled validators, which read each field that they know and pass over
// others, as an API server does that drops them. So each resource is watched while it is validated: a field that nobody read is
// a mistake. Where nobody read any, the content is free.

import { createInterface } from 'node:readline';

const PACKAGES = {
  'gateway.networking.k8s.io': '@kubernetes-models/gateway-api/gateway.networking.k8s.io',
  'gateway.envoyproxy.io': '@kubernetes-models/envoy-gateway/gateway.envoyproxy.io',
};

async function mistakes(resource) {
  const Model = await model(resource);
  if (!Model) return [`there is no ${resource.kind} in ${resource.apiVersion}`];
  const watched = new Watched(Object.setPrototypeOf(resource, Model.prototype));
  return [...wrong(watched.view), ...watched.unread('')];
}

function wrong(resource) {
  try {
    resource.validate();
    return [];
  } catch (error) {
    if (!error.errors) throw error;
    return error.errors.map(({ instancePath, message }) => `${instancePath}: ${message}`);
  }
}

async function model({ apiVersion, kind }) {
  const [group] = apiVersion.split('/');
  const folder = PACKAGES[group] ? apiVersion.replace(group, PACKAGES[group]) : `kubernetes-models/${apiVersion}`;
  return (await import(folder).catch(() => ({})))[kind];
}

// A value, and what was read of it.
class Watched {
  #children = new Map();
  #isFree = true;

  constructor(value) {
    this.value = value;
    this.view = new Proxy(value, { get: (_, key) => this.#read(key) });
  }

  unread(path) {
    if (this.#isFree) return [];
    return Object.keys(this.value).flatMap((key) => {
      if (!this.#children.has(key)) return [`${path}/${key}: unknown field`];
      return this.#children.get(key)?.unread(`${path}/${key}`) ?? [];
    });
  }

  #read(key) {
    const value = this.value[key];
    if (typeof key === 'symbol' || key === 'constructor') return value;
    this.#isFree = false;
    if (!this.#children.has(key)) {
      this.#children.set(key, typeof value === 'object' && value !== null ? new Watched(value) : undefined);
    }
    return this.#children.get(key)?.view ?? value;
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await mistakes(JSON.parse(line))));
}
