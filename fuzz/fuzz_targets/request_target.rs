//! Feeds rules, and the method, host and path of a request without credentials.
//!
//! *Invariant:* a request that is served as public is public in every reading of it: decoded once, twice or as overlong UTF-8, dot segments
//! resolved, slashes merged, backslashes turned, parameters or what follows `#`, `?` or NUL cut off, space trimmed, and in any letter case,
//! as Unicode has it; its host with and without the port, the final dot and user information; its method in upper case; whatever its rules
//! allow in paths. And a request that a rule admits, protected or not, is admitted by the same rule in upper case.
//!
//! If it failed, `/public/..;/admin` would be public for the gateway and the admin page for the service.
#![no_main]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::{Corpus, fuzz_target};
use phantom_token_core::NoSharedData;
use phantom_token_core::driver::{Outcome, Request, Response};
use phantom_token_fuzz::{Choice, Gateway, expand, parts, request};
use serde_json::{Value, json};

fuzz_target!(|input: Input<'_>| -> Corpus { run(&input) });

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    rules: [RuleChoice; 4],
    method: Choice<6>,
    /// The path and the host.
    text: &'a [u8],
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct RuleChoice {
    path: Choice<10>,
    methods: Choice<4>,
    host: Choice<4>,
    /// The last bit: whether the rule is public. The two bits before it: what it allows in paths.
    access: Choice<8>,
}

fn run(input: &Input<'_>) -> Corpus {
    let rules: Vec<Rule> = input.rules.iter().filter_map(|choice| Rule::of(*choice)).collect();
    let written: Vec<Value> = rules.iter().map(Rule::written).collect();
    let configuration = json!({
        "introspection": {"endpoint": "https://login.example.com/introspect", "upstream": "a", "auth_method": "none"},
        "cache": {"max_entries": 16},
        "rules": written,
    });
    let Some(mut gateway) = Gateway::new(&configuration) else { return Corpus::Reject };
    let [path, authority] = parts(input.text);
    let method = ["GET", "POST", "OPTIONS", "get", "Post", "oPTIONS"][usize::from(input.method.0)];
    let upper = method.to_ascii_uppercase();
    let access = Access::of(&mut gateway, &request(method, authority, path));
    if access != Access::Refused && method != upper {
        let in_upper_case = Access::of(&mut gateway, &request(&upper, authority, path));
        assert_eq!(in_upper_case, access, "{method} is not {upper}, by {}", json!(written));
    }
    match access {
        Access::Public => {
            for host in hosts(authority) {
                for reading in paths(path) {
                    for (folds_case, method) in
                        [(false, method), (true, method), (false, &upper), (true, &upper)]
                    {
                        assert!(
                            is_public(&rules, method, &host, &reading, folds_case),
                            "{method} {} at {} is public, but not as {} at {} (any case: {folds_case}), by {}",
                            path.escape_ascii(),
                            authority.escape_ascii(),
                            reading.escape_ascii(),
                            host.escape_ascii(),
                            json!(written),
                        );
                    }
                }
            }
        }
        Access::Protected(_) | Access::Refused => {}
    }
    Corpus::Keep
}

/// What the rules require of a request.
#[derive(Debug, PartialEq, Eq)]
enum Access {
    /// The request needs no credentials.
    Public,
    /// The request needs the scope that this challenge names.
    Protected(String),
    /// No rule admits the request.
    Refused,
}

impl Access {
    /// Sends the request without credentials, and then with a token that has no scope.
    fn of(gateway: &mut Gateway, request: &Request) -> Self {
        let mut send = |request| gateway.request(request, 0, &NoSharedData, &mut |_| JWT.clone());
        if let Outcome::Forwarded { .. } = send(request).outcome {
            return Self::Public;
        }
        let mut request = request.clone();
        request.fields.push(("authorization".to_owned(), b"Bearer opaque-token".to_vec()));
        match send(&request).outcome {
            Outcome::Answered(reply) => {
                let challenge = reply.headers.into_iter().find(|(name, _)| *name == "www-authenticate");
                let challenge = challenge.filter(|_| reply.status == 403);
                challenge.map_or(Self::Refused, |(_, challenge)| Self::Protected(challenge))
            }
            _ => panic!("nobody granted this"),
        }
    }
}

struct Rule {
    path: &'static str,
    /// Whether the rule matches only this path, and none below it.
    is_exact: bool,
    methods: &'static [&'static str],
    host: &'static str,
    is_public: bool,
    /// What the rule allows in paths.
    allowed: &'static [&'static str],
}

impl Rule {
    fn of(choice: RuleChoice) -> Option<Self> {
        const PATHS: [&str; 8] =
            ["/", "/public", "/admin", "/public/admin", "/admin/public", "/Admin", "/a b", "/p\u{fc}"];
        /// The last choice of a path. The choice before it stands for no rule.
        const EXACT: usize = 9;
        const METHODS: [&[&str]; 4] = [&[], &["GET"], &["POST"], &["OPTIONS"]];
        const HOSTS: [&str; 4] = ["", "open.example.com", "*.example.com", "[::1]"];
        const ALLOWED: [&[&str]; 4] = [&[], &["%2F"], &[";", "%25"], &["%2F", "%25", "%23", "%3F", ";"]];
        let index = usize::from(choice.path.0);
        let is_exact = index == EXACT;
        Some(Self {
            path: if is_exact { "/public/admin" } else { PATHS.get(index)? },
            is_exact,
            methods: METHODS[usize::from(choice.methods.0)],
            host: HOSTS[usize::from(choice.host.0)],
            is_public: choice.access.0 % 2 == 1,
            allowed: ALLOWED[usize::from(choice.access.0 / 2)],
        })
    }

    fn written(&self) -> Value {
        let mut rule =
            json!({"path": self.path, "access": if self.is_public { "public" } else { "protected" }});
        if !self.is_public {
            // Distinguishes the scopes of protected rules, so that a challenge shows which rule applied.
            rule["scopes"] = json!([format!(
                "{:?}{:?}{}{}",
                self.path.as_bytes(),
                self.methods,
                self.host,
                self.is_exact
            )
            .replace([' ', '"'], "")]);
        }
        if self.is_exact {
            rule["path_match"] = json!("exact");
        }
        if !self.methods.is_empty() {
            rule["methods"] = json!(self.methods);
        }
        if !self.allowed.is_empty() {
            rule["allow_in_path"] = json!(self.allowed);
        }
        if !self.host.is_empty() {
            rule["hosts"] = json!([self.host]);
        }
        rule
    }

    fn is_for(&self, host: &[u8], path: &[u8], folds_case: bool) -> bool {
        let own_host = self.host.as_bytes();
        let is_host = match own_host.strip_prefix(b"*") {
            Some(domain) => host.len() > domain.len() && host.ends_with(domain),
            None => own_host.is_empty() || own_host == host,
        };
        let fold = |path: &[u8]| match std::str::from_utf8(path) {
            // To upper case and then to lower; the full mapping of U+0130 adds a dot that the simple one does not.
            Ok(text) if folds_case => text.to_uppercase().to_lowercase().replace('\u{307}', "").into_bytes(),
            _ if folds_case => path.to_ascii_lowercase(),
            _ => path.to_vec(),
        };
        let (own_path, path) = (fold(self.path.as_bytes()), fold(path));
        let is_path = own_path == b"/"
            || path.strip_prefix(own_path.as_slice()).is_some_and(|rest| match rest {
                [] | [b'/'] => true,
                [b'/', ..] => !self.is_exact,
                _ => false,
            });
        is_host && is_path
    }

    fn place(&self) -> (u8, usize, usize, bool) {
        let host = match self.host {
            "" => 0,
            pattern if pattern.starts_with('*') => 1,
            _ => 2,
        };
        (host, self.host.len(), self.path.len(), self.is_exact)
    }

    fn takes(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.contains(&method)
    }
}

/// Whether a request is public: the rule of the most specific place that has one for its method is public, and no more specific protected
/// rule was passed over, unless the public rule is for preflights alone.
fn is_public(rules: &[Rule], method: &str, host: &[u8], path: &[u8], folds_case: bool) -> bool {
    let mut matching: Vec<&Rule> = rules.iter().filter(|rule| rule.is_for(host, path, folds_case)).collect();
    matching.sort_by_key(|rule| std::cmp::Reverse((rule.place(), !rule.methods.is_empty())));
    let mut passed = None;
    for rule in &matching {
        if rule.takes(method) {
            let is_for_preflights = rule.methods == ["OPTIONS"];
            let is_of_place = passed.is_none_or(|place| place == rule.place());
            // With letter case ignored, two rules can match the same place, and it is unknown which of them the service means.
            let are_all_public = matching
                .iter()
                .filter(|other| other.place() == rule.place() && other.takes(method))
                .filter(|other| other.methods.is_empty() == rule.methods.is_empty())
                .all(|other| other.is_public);
            return are_all_public && (is_for_preflights || is_of_place);
        }
        if !rule.is_public && passed.is_none() {
            passed = Some(rule.place());
        }
    }
    false
}

/// Returns the hosts that routers may read from an authority.
fn hosts(authority: &[u8]) -> BTreeSet<Vec<u8>> {
    let written = authority.to_ascii_lowercase();
    let steps: [Step; 3] = [
        |host| match host.iter().rposition(|&byte| byte == b':') {
            Some(end) if host[end..].iter().skip(1).all(u8::is_ascii_digit) => host[..end].to_vec(),
            _ => host.to_vec(),
        },
        |host| host.strip_suffix(b".").unwrap_or(host).to_vec(),
        |host| host.rsplit(|&byte| byte == b'@').next().unwrap_or_default().to_vec(),
    ];
    closure(written, &steps)
}

/// Returns the paths that services may read from a request target.
fn paths(path_and_query: &[u8]) -> BTreeSet<Vec<u8>> {
    let path = path_and_query.split(|&byte| byte == b'?').next().unwrap_or_default();
    let steps: [Step; 8] = [
        |path| percent_decoded(path, b""),
        without_overlong_forms,
        |path| path.iter().map(|&byte| if byte == b'\\' { b'/' } else { byte }).collect(),
        |path| each_segment(path, |segment| segment.split(|&byte| byte == b';').next().unwrap_or_default()),
        |path| each_segment(path, <[u8]>::trim_ascii),
        |path| path.split(|&byte| matches!(byte, b'#' | b'?' | 0)).next().unwrap_or_default().to_vec(),
        merged_slashes,
        resolved_dots,
    ];
    closure(percent_decoded(path, DELIMITERS), &steps)
}

/// One way to rewrite a path or a host.
type Step = fn(&[u8]) -> Vec<u8>;

/// Returns the results of applying the steps in any order, at most `MAX_READINGS`, since an input may be crafted to have no end of them.
fn closure(start: Vec<u8>, steps: &[Step]) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::from([start.clone()]);
    let mut open = vec![start];
    while let Some(one) = open.pop() {
        for step in steps {
            let next = step(&one);
            if found.len() < MAX_READINGS && found.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    found
}

/// Decodes all percent-encoded bytes except these.
fn percent_decoded(path: &[u8], but: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped.filter(|escaped| byte == b'%' && !but.contains(escaped)) {
            Some(escaped) => {
                decoded.push(escaped);
                rest = &behind[2..];
            }
            None => {
                decoded.push(byte);
                rest = behind;
            }
        }
    }
    decoded
}

/// Decodes overlong UTF-8, two bytes where one would do, as some decoders do: `C0 AE` is a dot.
fn without_overlong_forms(path: &[u8]) -> Vec<u8> {
    let mut short = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, behind)) = rest.split_first() {
        match behind.first().filter(|next| matches!(byte, 0xc0 | 0xc1) && matches!(next, 0x80..=0xbf)) {
            Some(next) => {
                short.push(((byte & 1) << 6) | (next & 0x3f));
                rest = &behind[1..];
            }
            None => {
                short.push(byte);
                rest = behind;
            }
        }
    }
    short
}

fn each_segment(path: &[u8], change: fn(&[u8]) -> &[u8]) -> Vec<u8> {
    path.split(|&byte| byte == b'/').map(change).collect::<Vec<_>>().join(&b'/')
}

fn merged_slashes(path: &[u8]) -> Vec<u8> {
    let mut merged = path.to_vec();
    merged.dedup_by(|one, other| (*one, *other) == (b'/', b'/'));
    merged
}

fn resolved_dots(path: &[u8]) -> Vec<u8> {
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in path.split(|&byte| byte == b'/') {
        match segment {
            b"." => {}
            b".." if segments.len() > 1 => drop(segments.pop()),
            b".." => {}
            other => segments.push(other),
        }
    }
    segments.join(&b'/')
}

/// The authorization server's response for every token.
static JWT: LazyLock<Response> = LazyLock::new(|| {
    let (jwt, _) = expand(br#"<<h|{"alg":"HS256"}|{"sub":"alice"}>>"#);
    Response::of("application/jwt", jwt)
});

/// Characters whose escapes some services do not decode.
const DELIMITERS: &[u8] = b"/\\%?#;";

const MAX_READINGS: usize = 64;
