//! Real control planes: how they translate the manifests, and the real Envoys that they run. `./justw control-planes` obtains them and runs
//! the tests.

mod entrance;
mod envoy_gateway;
mod istio;
mod kubernetes;
mod load;
mod mcp;
mod module_page;
mod routes;
