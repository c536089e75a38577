//! Real control planes: what they make of the manifests, and real Envoys that they run. `./justw control-planes` obtains and tries them.

mod entrance;
mod envoy_gateway;
mod istio;
mod kubernetes;
mod load;
mod mcp;
mod module_page;
mod routes;
