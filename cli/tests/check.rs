//! What `check` makes of the files that people hand to it: input, exit code, and what it says.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// If this failed, `check` would report that a file has no configuration although it has one, or an error in a file that is yet
/// to be rendered; and a pipeline would pass a file that was never checked.
#[test]
fn r200_check_says_what_a_file_is_and_what_to_do() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("phantom-token-check-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let mut wrong = Vec::new();
    for (what, name, bytes, code, said) in rows() {
        std::fs::write(folder.join(name), &bytes)?;
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_phantom-token"))
            .args(["check", name])
            .current_dir(&folder)
            .output()?;
        let written = String::from_utf8([stdout, stderr].concat())?;
        if status.code() != Some(code) || !written.contains(said) {
            wrong.push(format!("{what}: {:?}, not {code} and {said}\n{written}", status.code()));
        }
        assert!(!written.contains(SECRET), "{what} shows a secret: {written}");
    }
    std::fs::remove_dir_all(&folder)?;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// If this failed, a body that names two tools would do with the scope of the harmless one, and nothing would say so.
#[test]
fn r235_what_reads_calls_stands_before_the_filter() -> Result<(), Box<dyn std::error::Error>> {
    use phantom_token_cli::check::{Severity, check};
    use phantom_token_cli::source::Source;

    let whole = include_str!("../../envoy-config/mcp.yaml");
    for (text, expected) in [
        (whole.to_owned(), None),
        (whole.replace("reject_duplicate_keys: true", "reject_duplicate_keys: false"), Some(Severity::Error)),
        (whole.replace("traffic_mode: REJECT_NO_MCP", "traffic_mode: PASS_THROUGH"), None),
        (whole.replace("http.mcp.v3.Mcp", "http.lua.v3.Lua"), Some(Severity::Error)),
        (
            whole
                .replace("\"envoy_filter\"", "\"header_fields\"")
                .replace("http.mcp.v3.Mcp", "http.lua.v3.Lua"),
            None,
        ),
    ] {
        let report = check(&Source::new("mcp.yaml", text), None, false);
        let found = report.findings.iter().map(|finding| (finding.path.as_str(), finding.severity));
        let expected = expected.map(|severity| ("mcp.servers[0].per_tool.source", severity));
        assert_eq!(found.collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>());
    }
    Ok(())
}

/// If this failed, a file that opens the gateway whenever the filter is missing would pass as one without errors.
#[test]
fn r290_settings_that_fail_open_are_reported() -> Result<(), Box<dyn std::error::Error>> {
    use heck::ToLowerCamelCase;
    use phantom_token_cli::check::{Severity, check};
    use phantom_token_cli::source::Source;

    let plugin =
        |setting: &str| BOOTSTRAP.replace("      config:\n", &format!("      config:\n        {setting}\n"));
    let entry = |file: &str, setting: &str| {
        file.replace("    typed_config:\n", &format!("    {setting}\n    typed_config:\n"))
    };
    let module = |settings: &str| MODULE.replace("do_not_close: true", settings);
    let istio = |setting: &str| WASM_PLUGIN.replace("spec:\n", &format!("spec:\n  {setting}\n"));
    let gateway = |list: &str, setting: &str| {
        let policy = POLICY.replace("wasm:", list).replace("SETTING", setting);
        policy + &indented(BARE, 8)
    };
    let registered = |kind: &str| {
        format!("{}---\n{}", gateway("dynamicModule:", "filterName: a"), PROXY.replace("KIND", kind))
    };
    let by_json_names = |file: &str| {
        let names = [
            "http_filters",
            "typed_config",
            "dynamic_module_config",
            "filter_config",
            "nack_on_cache_miss",
            "is_optional",
        ];
        names.into_iter().fold(file.to_owned(), |file, name| file.replace(name, &name.to_lower_camel_case()))
    };
    // As in an EnvoyFilter of Istio.
    let inserted = |setting: &str| {
        let filter = entry(BOOTSTRAP, setting).replace("http_filters:\n  - ", "value:\n    ");
        format!("patch:\n  operation: INSERT_BEFORE\n{}", indented(&filter, 2))
    };
    let routed = |filters: &str, name: &str, disabled: bool| {
        let switch = format!("{{ {name}: {{ disabled: {disabled} }} }}");
        format!("{filters}route_config:\n  virtual_hosts:\n    - typed_per_filter_config: {switch}\n")
    };
    let kong = |setting: &str| {
        let configuration = BARE.replace("upstream: authorization-server", "upstream: login.example.com:443");
        KONG.replace("SETTING", setting) + &indented(&configuration, 14)
    };
    let (error, warning) = (Some(Severity::Error), Some(Severity::Warning));
    let rows = [
        (plugin("failure_policy: FAIL_OPEN"), "failure_policy", error),
        (plugin("failurePolicy: FAIL_OPEN"), "failurePolicy", error),
        (plugin("failure_policy: 3"), "failure_policy", error),
        (plugin("failure_policy: '3'"), "failure_policy", error),
        (plugin("failure_policy: 03"), "failure_policy", error),
        (plugin("failure_policy: fail_open"), "failure_policy", error),
        (plugin("failure_policy: FAIL_RELOAD"), "", None),
        (plugin("failure_policy: 1"), "", None),
        (plugin("fail_open: true"), "fail_open", error),
        (plugin("failOpen: true"), "failOpen", error),
        (plugin("fail_open: false"), "", None),
        (entry(BOOTSTRAP, "is_optional: true"), "is_optional", error),
        (entry(MODULE, "isOptional: true"), "isOptional", error),
        (entry(MODULE, "is_optional: false"), "", None),
        (entry(BOOTSTRAP, "disabled: true"), "disabled", warning),
        (entry(BOOTSTRAP, "disabled: 'true'"), "disabled", warning),
        (entry(BOOTSTRAP, "disabled: t"), "disabled", warning),
        (entry(BOOTSTRAP, "disabled: 'Yes'"), "disabled", warning),
        (entry(BOOTSTRAP, "disabled: '1'"), "disabled", warning),
        (entry(BOOTSTRAP, "disabled: yes"), "disabled", warning),
        (entry(BOOTSTRAP, "disabled: 'false'"), "", None),
        (by_json_names(&entry(BOOTSTRAP, "disabled: true")), "disabled", warning),
        (by_json_names(&entry(MODULE, "is_optional: true")), "isOptional", error),
        (
            by_json_names(&module("module: { remote: { sha256: a } }")),
            "dynamic_module_config.module.remote",
            error,
        ),
        (by_json_names(&module("module: { remote: { sha256: a } }, nack_on_cache_miss: true")), "", None),
        (inserted("is_optional: true"), "is_optional", error),
        (inserted("is_optional: false"), "", None),
        (routed(BOOTSTRAP, "phantom-token", true), "typed_per_filter_config", warning),
        (routed(MODULE, "phantom-token", true), "typed_per_filter_config", warning),
        (routed(BOOTSTRAP, "phantom-token", false), "", None),
        (routed(BOOTSTRAP, "another", true), "", None),
        (kong("enabled: false"), "enabled", warning),
        (kong("enabled: true"), "", None),
        (
            kong("enabled: false").replacen("filters:", "enabled: true\n        filters:", 1),
            "enabled",
            warning,
        ),
        (
            kong("enabled: true").replacen("filters:", "enabled: false\n        filters:", 1),
            "enabled",
            warning,
        ),
        (istio("failStrategy: FAIL_OPEN"), "failStrategy", error),
        (istio("failStrategy: FAIL_RELOAD"), "", None),
        (istio("failStrategy: FAIL_CLOSE"), "", None),
        (gateway("wasm:", "failOpen: true"), "failOpen", error),
        (gateway("wasm:", "failOpen: false"), "", None),
        (module("module: { remote: { sha256: a } }"), "dynamic_module_config.module.remote", error),
        (
            module("module: { remote: { sha256: a } }, nack_on_cache_miss: false"),
            "dynamic_module_config.module.remote",
            error,
        ),
        (module("module: { remote: { sha256: a } }, nack_on_cache_miss: true"), "", None),
        (module("module: { local: { filename: a.so } }"), "", None),
        (registered("Remote"), "source.type", error),
        (registered("Local"), "", None),
        (
            format!("{}---\n{}", gateway("wasm:", "failOpen: false"), PROXY.replace("KIND", "Remote")),
            "",
            None,
        ),
    ];
    for (text, path, severity) in rows {
        for text in [text.clone(), config_map("envoy.yaml", &text)] {
            let report = check(&Source::new("a.yaml", text.clone()), None, false);
            let found = report.findings.iter().map(|finding| (finding.path.as_str(), finding.severity));
            assert_eq!(
                found.collect::<Vec<_>>(),
                severity.map(|severity| (path, severity)).into_iter().collect::<Vec<_>>(),
                "{text}"
            );
            let lines = report.findings.iter().filter_map(|finding| text.lines().nth(finding.at.line - 1));
            let name = path.rsplit('.').next().ok_or("no name")?;
            assert!(lines.into_iter().all(|line| line.contains(name)), "another line of {text}");
        }
    }
    Ok(())
}

/// If this failed, what another program renders could not be checked, as the sentences advise.
#[test]
fn r200_what_others_render_is_checked_from_standard_input() -> Result<(), Box<dyn std::error::Error>> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_phantom-token"))
        .args(["check", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child.stdin.take().ok_or("no input")?.write_all(WASM_PLUGIN.as_bytes())?;
    let Output { status, stdout, .. } = child.wait_with_output()?;
    assert!(status.success(), "{}", String::from_utf8_lossy(&stdout));
    Ok(())
}

/// If this failed, who gets an error would have to search a page of two hundred fields for what to write instead, or follow a link
/// that leads nowhere.
#[test]
fn r272_each_block_with_an_error_is_linked_once_in_the_reference() -> Result<(), Box<dyn std::error::Error>> {
    use std::collections::BTreeSet;

    use phantom_token_cli::check::check;
    use phantom_token_cli::report;
    use phantom_token_cli::source::Source;

    let page = include_str!("../../docs/reference.md");
    let is_there = |anchor: &str| {
        page.contains(&format!("<a id=\"{anchor}\">")) || page.contains(&format!("\n## `{anchor}`\n"))
    };
    let mut reports = Vec::new();
    for file in std::fs::read_dir("tests/files")? {
        let path = file?.path();
        if path.is_file() {
            reports.push(check(&Source::new("a.yaml", std::fs::read_to_string(path)?), None, true));
        }
    }

    let of_files: serde_json::Value = serde_json::from_str(&report::json(&reports))?;
    let files = of_files["files"].as_array().ok_or("no files")?.iter();
    let errors = files.flat_map(|file| file["errors"].as_array().into_iter().flatten());
    let mut blocks = BTreeSet::new();
    for error in errors {
        let link = error["reference"].as_str().ok_or("no link")?;
        let Some(anchor) = link.strip_prefix("docs/reference.md#") else { continue };
        assert!(is_there(anchor), "{} leads to {anchor}, which is not there", error["path"]);
        let block = error["path"].as_str().and_then(|path| path.split(['.', '[']).next()).ok_or("no path")?;
        blocks.insert(block.to_owned());
    }

    let text = report::text(&reports);
    let links =
        text.lines().last().and_then(|line| line.strip_prefix("see docs/reference.md#")).ok_or("no links")?;
    let linked: Vec<String> = links.split(", #").map(str::to_owned).collect();
    assert!(linked.len() > 4, "hardly anything is wrong in these files: {links}");
    assert_eq!(linked.iter().cloned().collect::<BTreeSet<_>>(), blocks);
    assert_eq!(linked.len(), blocks.len(), "a block is linked twice: {links}");
    Ok(())
}

type Row = (&'static str, &'static str, Vec<u8>, i32, &'static str);

fn rows() -> Vec<Row> {
    let text = |what, name, text: &str, code, said| (what, name, text.as_bytes().to_vec(), code, said);
    let mut rows = vec![
        // Where configurations stand.
        text("native module", "a.yaml", MODULE, 0, "no errors"),
        text(
            "native module, and what it cannot do",
            "a.yaml",
            &MODULE.replace("[{ path: /orders }]", "[{ path: /orders, mcp: { source: envoy_filter } }]"),
            1,
            "error: rules[0].mcp.source: must not be envoy_filter in the native module",
        ),
        text("ConfigMap with a bootstrap", "a.yaml", &config_map("envoy.yaml", BOOTSTRAP), 0, "no errors"),
        text(
            "ConfigMap, an error in its text",
            "a.yaml",
            &config_map("envoy.yaml", &BOOTSTRAP.replace("\"/orders\"", "\"orders\"")),
            1,
            "a.yaml:19:38: error: rules[0].path: must start with \"/\"",
        ),
        text(
            "ConfigMap with several files",
            "a.yaml",
            &format!("{}{}", config_map("cds.yaml", "resources: []\n"), of_data("lds.yaml", BOOTSTRAP)),
            0,
            "no errors",
        ),
        text(
            "ConfigMap with the configuration alone",
            "a.yaml",
            &config_map("phantom-token.json", r#"{"introspection": {}, "rules": []}"#),
            1,
            "a.yaml:6:25: error: introspection.endpoint: is required",
        ),
        text(
            "ConfigMap as kubectl -o json prints it",
            "a.json",
            &serde_json::json!({
                "apiVersion": "v1", "kind": "List",
                "items": [{"apiVersion": "v1", "kind": "ConfigMap", "data": {"envoy.yaml": BOOTSTRAP}}],
            })
            .to_string(),
            0,
            "no errors",
        ),
        text(
            "Secret, encoded",
            "a.yaml",
            &format!("apiVersion: v1\nkind: Secret\ndata:\n  envoy.yaml: {}\n", encode(BOOTSTRAP)),
            0,
            "no errors",
        ),
        text(
            "ConfigMap whose text is broken",
            "a.yaml",
            &config_map("envoy.yaml", "name: phantom-token\n\tx: 1\n"),
            1,
            "a.yaml:8:5: error: a tab indents this line, but YAML allows only spaces",
        ),
        text(
            "ConfigMap whose text is a template",
            "a.yaml",
            &config_map("envoy.yaml", "name: phantom-token\nx: {{ .Values.x }}\n"),
            1,
            "this is a Helm template",
        ),
        text(
            "ConfigMap of something else",
            "a.yaml",
            &config_map("config.yaml", "rules:\n  - seriesQuery: x\n"),
            1,
            "this file contains no configuration of the filter",
        ),
        text(
            "EnvoyProxy with a bootstrap",
            "a.yaml",
            &format!(
                "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyProxy\nspec:\n  bootstrap:\n    type: Merge\n    value: |\n{}",
                indented(BOOTSTRAP, 6)
            ),
            0,
            "no errors",
        ),
        text(
            "documents of Kubernetes, a Role with rules among them",
            "a.yaml",
            &format!("{ROLE}---\n{WASM_PLUGIN}---\n# nothing\n---\n"),
            0,
            "no errors",
        ),
        text("a Role", "a.yaml", ROLE, 1, "this file contains no configuration of the filter"),
        text("List of resources", "a.yaml", &list(WASM_PLUGIN), 0, "no errors"),
        text(
            "what was applied, in an annotation",
            "a.yaml",
            &WASM_PLUGIN.replace("{ name: phantom-token }", r#"{ name: phantom-token, annotations: { kubectl.kubernetes.io/last-applied-configuration: '{"kind":"WasmPlugin","spec":{"pluginConfig":{"introspection":{},"rules":[]}}}' } }"#),
            0,
            "a.yaml: no errors\n",
        ),
        text("values of a chart", "a.yaml", &format!("gateway:\n  filter:\n{}", indented(BARE, 4)), 0, "no errors"),
        text("a byte order mark", "a.yaml", &format!("\u{feff}{BARE}"), 0, "no errors"),
        text("lines that end as in Windows", "a.yaml", &BARE.replace('\n', "\r\n"), 0, "no errors"),
        text("JSON with tabs", "a.json", &json(BARE).replace("  ", "\t"), 0, "no errors"),
        // What is no configuration as it stands.
        text("nothing", "a.yaml", "", 1, "the file is empty"),
        text("comments", "a.yaml", "# later\n---\n", 1, "the file is empty"),
        text("another resource", "a.yaml", "kind: Service\n", 1, "this file contains no configuration of the filter"),
        text("kustomization", "kustomization.yaml", "kind: Kustomization\nresources: [a.yaml]\n", 1, "kubectl kustomize FOLDER"),
        text("chart", "Chart.yaml", "apiVersion: v2\nname: gateway\nversion: 1.0.0\n", 1, "helm template CHART"),
        text("Helm template", "a.yaml", &BARE.replace("https://login.example.com/x", "{{ .Values.endpoint }}"), 1, "a.yaml:2:13: error: this is a Helm template: check what it renders, helm template CHART | phantom-token check -"),
        text("Helm template with a condition", "a.yaml", &format!("{{{{- if .Values.on }}}}\n{BARE}{{{{- end }}}}\n"), 1, "this is a Helm template"),
        text("Helm template, quoted", "a.yaml", &BARE.replace("https://login.example.com/x", "\"{{ .Values.endpoint }}\""), 1, "warning: this is a Helm template"),
        text("Helm template that begins with a comment", "a.yaml", &format!("{{{{/* all */}}}}\n{BARE}"), 1, "a.yaml:1:1: error: this is a Helm template"),
        text("ConfigMap with a file of a chart", "a.yaml", &config_map("filter.json", "{{ (.Files.Get \"x.json\") | nindent 4 }}\n"), 1, "this is a Helm template"),
        text("Helm template, from the root", "a.yaml", &BARE.replace("https://login.example.com/x", "{{$.Values.endpoint}}"), 1, "this is a Helm template"),
        text("another template", "a.yaml", &BARE.replace("https://login.example.com/x", "{{ endpoint }}"), 1, "this is a template"),
        text("Jinja template", "a.yaml", &format!("{{% if on %}}\n{BARE}{{% endif %}}\n"), 1, "this is a Jinja template"),
        text("ERB template", "a.yaml", &BARE.replace("https://login.example.com/x", "<%= endpoint %>"), 1, "this is a template"),
        text("ytt template", "a.yaml", &BARE.replace("https://login.example.com/x", "#@ data.values.endpoint"), 1, "ytt -f FILE"),
        text("variable of kustomize", "a.yaml", &BARE.replace("https://login.example.com/x", "$(ENDPOINT)"), 1, "a.yaml:2:13: warning: a value is still to be filled in here"),
        text("variable of envsubst", "a.yaml", &BARE.replace("https://login.example.com/x", "${ENDPOINT}"), 1, "a value is still to be filled in here"),
        text("Jsonnet", "a.jsonnet", "local x = 'y';\n{ introspection: { endpoint: x } }\n", 1, "this is Jsonnet"),
        text("Terraform", "main.tf", "resource \"kubernetes_manifest\" \"x\" {\n  manifest = yamldecode(x)\n}\n", 1, "this is Terraform"),
        text("Jsonnet that YAML can nearly read", "a.jsonnet", "{ introspection: { endpoint: 'https://x' } + common }\n", 1, "this is Jsonnet"),
        text("TOML", "a.toml", "[introspection]\nendpoint = \"x\"\n", 1, "this is TOML"),
        text(
            "JSON with comments, as what YAML takes them for",
            "a.yaml",
            &json(BARE).replacen("\"rules\"", "// all\n\"rules\"", 1),
            1,
            "warning: JSON has no comments",
        ),
        text("an alias without its anchor", "a.yaml", "introspection: *common\n", 1, "an alias refers to an anchor"),
        text("CUE", "a.cue", "package x\n\nintrospection: endpoint: \"x\"\n", 1, "this is CUE"),
        text("JSON with comments", "a.json", &json(BARE).replacen('{', "{ // what\n", 1), 1, "JSON has no comments"),
        text("JSON with comments after what YAML can read", "a.json", "/* what */ {\"rules\": []}", 1, "JSON has no comments"),
        text("JSON with a comment of YAML", "a.json", &json(BARE).replacen('{', "{ # what\n", 1), 1, "JSON has no comments"),
        text("JSON with a byte order mark", "a.json", &format!("\u{feff}{}", json(BARE)), 1, "the JSON begins with a byte order mark"),
        text("JSON with a comma too many", "a.json", "{\"rules\": [],}", 1, "a.json:1:14: error: JSON has no comma before } or ]"),
        text("ConfigMap, JSON with a comma too many", "a.yaml", &config_map("filter.json", &json(BARE).replacen("[", "[,", 1)), 1, "a.yaml:14:17: error: this is neither YAML nor JSON"),
        text("ConfigMap, JSON with a comma too many under a name of its own", "a.yaml", &config_map("config", &json(BARE).replacen("/orders\"\n    }", "/orders\"\n    },", 1)), 1, "error: JSON has no comma before } or ]"),
        text("ConfigMap, JSON with comments under a name of its own", "a.yaml", &config_map("config", &json(BARE).replacen('{', "{\n// what\n", 1)), 1, "a.yaml:8:5: error: JSON has no comments: remove them, or write YAML\na.yaml: 1 error\n"),
        text("JSON with comments, by its name", "a.jsonc", &json(BARE).replacen('{', "{ // what\n", 1), 1, "a.jsonc: 1 error\n"),
        text("JSON with comments, told once", "a.json", &json(BARE).replacen("\"rules\"", "/* all */ \"rules\"", 1), 1, "a.json: 1 error\n"),
        text("a list in a list, and so on", "a.yaml", &"- ".repeat(20_000), 1, "values are nested too deeply"),
        text("an object in an object, and so on", "a.json", &"{\"introspection\":".repeat(5_000), 1, "values are nested too deeply"),
        text("several JSON values", "a.json", "{\"kind\": \"x\"}\n{\"kind\": \"y\"}\n", 1, "a.json:2:1: error: several JSON values follow each other: jq -s"),
        text("tab", "a.yaml", "introspection:\n\tendpoint: https://x.test\n", 1, "a.yaml:2:1: error: a tab indents this line"),
        text("no-break space", "a.yaml", &BARE.replace("  endpoint", "  \u{a0}endpoint"), 1, "a character here only looks like a space"),
        text("no-break spaces before the line that cannot be read", "a.yaml", &BARE.replace("  endpoint", "\u{a0}\u{a0}endpoint"), 1, "a.yaml:2:1: error: a character here only looks like a space"),
        text("typographic quotes", "a.yaml", &BARE.replace("https://login.example.com/x", "\u{201c}https://login.example.com/x\u{201d}"), 1, "there are typographic quotes here"),
        text("a conflict", "a.yaml", &format!("<<<<<<< HEAD\n{BARE}=======\n{BARE}>>>>>>> x\n"), 1, "this is a git conflict marker"),
        text("a page", "a.yaml", "<!DOCTYPE html>\n<html><title>Sign in</title></html>\n", 1, "this is HTML or XML"),
        text("Ansible's vault", "a.yaml", "$ANSIBLE_VAULT;1.1;AES256\n6162\n", 1, "this is encrypted"),
        text("SOPS", "a.yaml", "spec: ENC[AES256_GCM,data:x,type:str]\nsops: {}\n", 1, "this is encrypted"),
        text("alerts whose texts have braces", "a.yaml", "groups: [{ name: \"{{ $labels.x }}\" }]\n", 1, "this file contains no configuration of the filter"),
    ];
    let utf_16 = BARE.encode_utf16().flat_map(u16::to_le_bytes);
    rows.extend([
        ("UTF-16", "a.yaml", [0xff, 0xfe].into_iter().chain(utf_16).collect(), 2, "it is UTF-16"),
        ("compressed", "a.yaml", b"\x1f\x8b\x08\0\0\xff".to_vec(), 2, "it is compressed"),
        ("Latin-1", "a.yaml", b"# \xe4\n".to_vec(), 2, "it is not UTF-8 text"),
    ]);
    rows
}

fn config_map(name: &str, text: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: envoy }}\n\ndata:\n{}", of_data(name, text))
}

fn of_data(name: &str, text: &str) -> String {
    match text.contains('\n') {
        true => format!("  {name}: |\n{}", indented(text, 4)),
        false => format!("  {name}: '{text}'\n"),
    }
}

fn list(resource: &str) -> String {
    let resource = indented(resource, 4);
    format!("apiVersion: v1\nkind: List\nitems:\n  - {}", resource.trim_start())
}

fn indented(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect()
}

fn json(yaml: &str) -> String {
    let value: serde_json::Value = serde_saphyr::from_str(yaml).unwrap_or_default();
    format!("{value:#}")
}

fn encode(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

const SECRET: &str = "do-not-show-this";

const BARE: &str = "\
introspection:
  endpoint: https://login.example.com/x
  upstream: authorization-server
  client_id: gateway
  client_secret: do-not-show-this
rules:
  - path: /orders
";

const MODULE: &str = "\
http_filters:
  - name: phantom-token
    typed_config:
      dynamic_module_config: { name: phantom_token, do_not_close: true }
      filter_name: phantom-token
      filter_config:
        \"@type\": type.googleapis.com/google.protobuf.Struct
        value:
          introspection:
            endpoint: https://login.example.com/x
            upstream: as
            client_id: gateway
            client_secret: do-not-show-this
          rules: [{ path: /orders }]
";

const BOOTSTRAP: &str = "\
http_filters:
  - name: phantom-token
    typed_config:
      config:
        configuration:
          \"@type\": type.googleapis.com/google.protobuf.StringValue
          value: |
            {
              \"introspection\": {
                \"endpoint\": \"https://login.example.com/x\", \"upstream\": \"as\",
                \"client_id\": \"gateway\", \"client_secret\": \"do-not-show-this\"
              },
              \"rules\": [{\"path\": \"/orders\"}]
            }
";

const WASM_PLUGIN: &str = "\
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: { name: phantom-token }
spec:
  pluginConfig:
    introspection:
      endpoint: https://login.example.com/x
      upstream: authorization-server
      client_id: gateway
      client_secret: do-not-show-this
    rules:
      - path: /orders
";

const KONG: &str = "\
_format_version: '3.0'
services:
  - name: orders
    filter_chains:
      - name: orders
        filters:
          - name: phantom_token
            SETTING
            config:
";

const POLICY: &str = "\
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata: { name: phantom-token }
spec:
  wasm:
    - name: phantom-token
      SETTING
      config:
";

const PROXY: &str = "\
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyProxy
metadata: { name: ingress }
spec:
  dynamicModules:
    - name: phantom-token
      source: { type: KIND }
";

const ROLE: &str = "\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: gateway }
rules:
  - { apiGroups: [\"\"], resources: [pods], verbs: [get] }
";
