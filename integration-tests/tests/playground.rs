//! The playground in a real browser: what its user sees, and what data leaves it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use integration_tests::browser::{Browser, Screen};
use integration_tests::documentation::{self, Part};
use integration_tests::{paths, server};
use phantom_token_cli::check;
use phantom_token_cli::source::Source;
use serde_json::json;

/// If this failed, the page would miss an error, or show it in another place than `check` does.
#[tokio::test]
async fn r251_mistakes_are_shown_where_and_as_check_says_them() -> Result<()> {
    let (page, _) = open("r251", DESKTOP).await?;
    for mistaken in [
        "introspection:\n  endpoint: https://login.example.com/introspect\n  upstream: login\n  client_id: gateway\n  client_secret: { env: SECRET }\nrules:\n  - path: orders\n    scops: [read]\n",
        "realm: \"\u{1f511} \u{e9}\"\nrules: [{ path: /\u{1f511}, access: publik }, { acces: public }]\n",
        "rules:\n\t- path: /\n",
        "{\"rules\": [{\"path\": \"/\"},]}",
        "",
    ] {
        set_configuration(&page, mistaken).await?;
        let report = check::check(&Source::new("configuration", mistaken), None, false);
        ensure!(report.counts().0 > 0, "this is no mistake: {mistaken}");
        let expected: BTreeSet<String> = report
            .findings
            .iter()
            .map(|finding| {
                let path =
                    if finding.path.is_empty() { String::new() } else { format!("{}: ", finding.path) };
                format!("{}:{} {path}{}", finding.at.line, finding.at.column, finding.message)
            })
            .collect();
        let listed = page
            .evaluate("[...document.querySelectorAll('#findings button')].map((one) => one.textContent)")
            .await?;
        let listed: BTreeSet<String> = serde_json::from_value(listed)?;
        ensure!(listed == expected, "{mistaken}\nlisted: {listed:#?}\nexpected: {expected:#?}");
        if !mistaken.is_empty() {
            page.wait_for(&format!("{EDITOR}.querySelector('.cm-lintRange-error') !== null")).await?;
        }
        let steps = page.evaluate(STEPS).await?;
        ensure!(steps[0].as_str().is_some_and(|step| step.starts_with("Nothing yet")), "{steps}");
    }
    set_configuration(&page, "rules:\n  - { path: /, acces: public }\n").await?;
    let underlined = page
        .evaluate(&format!(
            "[...{EDITOR}.querySelectorAll('.cm-lintRange-error')].map((one) => one.textContent)"
        ))
        .await?;
    ensure!(underlined == json!(["rules", "public"]), "{underlined}");
    Ok(())
}

/// If this failed, an example would not show what its name says, or a refusal without its remedy.
#[tokio::test]
async fn r252_examples_come_to_what_their_names_say_and_each_reason_has_its_chapter() -> Result<()> {
    let (page, _) = open("r252", DESKTOP).await?;
    let chapters: BTreeSet<String> = documentation::page("docs/troubleshooting.md")?
        .parts
        .into_iter()
        .filter_map(|part| if let Part::Heading(3, title) = part { Some(title) } else { None })
        .collect();
    let mut seen = BTreeSet::new();
    for (example, request, expected) in EXAMPLES {
        press_button(&page, "examples", example).await?;
        press_button(&page, "tries", request).await?;
        let outcome = page.evaluate("document.querySelector('.step:last-child').innerText").await?;
        let outcome = outcome.as_str().context("no outcome")?;
        ensure!(
            expected.split(' ').all(|word| outcome.contains(word)),
            "{example}, {request}: not {expected}, but {outcome}"
        );
        seen.insert(format!("{example}/{request}"));
        let chapter = page.evaluate("document.querySelector('a.chapter')?.getAttribute('href')").await?;
        match chapter.as_str() {
            Some(link) => {
                let reason = link.strip_prefix("../docs/troubleshooting.html#").context("another page")?;
                ensure!(chapters.contains(reason), "{example}, {request}: no chapter {reason}");
                ensure!(expected.contains(reason), "{example}, {request}: the chapter of {reason}");
            }
            None => ensure!(!expected.starts_with('4'), "{example}, {request}: no chapter"),
        }
    }
    let offered = page
        .evaluate(
            "[...document.querySelectorAll('#examples button')].flatMap((example) => { example.click();
                return [...document.querySelectorAll('#tries button')].map((one) => `${example.textContent}/${one.textContent}`); })",
        )
        .await?;
    let offered: BTreeSet<String> = serde_json::from_value(offered)?;
    ensure!(offered == seen, "not all examples are tested, or not all tested are there: {offered:#?}");
    Ok(())
}

/// If this failed, a secret typed into the page could reach a server, or the page would not work offline.
#[tokio::test]
async fn r253_nothing_leaves_the_page_and_a_link_carries_all_of_it() -> Result<()> {
    let (page, address) = open("r253", DESKTOP).await?;
    set_configuration(&page, CONFIGURATION).await?;
    page.evaluate(
        "document.querySelector('#url').value = 'https://api.example.com/\u{1f511}?a=b#c';
         document.querySelector('#headers').value = 'X-One: 1\\nX-Two: 2';
         document.querySelector('#peer').value = 'spiffe://example.com/a';
         document.querySelector('#time').value = '2026-01-15T10:00:01';
         document.querySelector('input[value=jwt]').click();
         document.querySelector('#dpop').click();
         document.querySelector('#link').click()",
    )
    .await?;
    page.wait_for("location.hash.length > 5 && document.querySelector('#notice').textContent !== ''").await?;
    let link = page.evaluate("location.href").await?;
    let link = link.as_str().context("no address")?.to_owned();
    let written = page.evaluate(STATE).await?;
    let outcome = page.evaluate(STEPS).await?;

    page.visit("about:blank").await?;
    page.visit(&link).await?;
    page.wait_for(READY).await?;
    page.wait_for("document.querySelector('#peer').value !== ''").await?;
    ensure!(page.evaluate(STATE).await? == written, "{written} became another");
    ensure!(page.evaluate(STEPS).await? == outcome, "{outcome} became another");
    let shown = page.evaluate(CONFIGURATION_TEXT).await?;
    ensure!(shown == CONFIGURATION.trim_end(), "another configuration: {shown}");

    for damaged in ["#try=AAAA", "#try=%", "#try="] {
        page.evaluate(&format!(
            "document.querySelector('#notice').textContent = ''; location.hash = '{damaged}'"
        ))
        .await?;
        page.wait_for("document.querySelector('#notice').textContent.includes('cannot be read')").await?;
    }

    let mut asked = BTreeSet::new();
    for request in page.requests().await? {
        let url = request["url"].as_str().unwrap_or_default();
        ensure!(url.starts_with("data:") || url.starts_with(&address), "it asked for {url}");
        ensure!(request["method"] == "GET" && request.get("postData").is_none(), "{request}");
        asked.insert(url.rsplit('/').next().unwrap_or_default().to_owned());
    }
    let files: BTreeSet<String> =
        ["", "playground.css", "playground.js"].map(str::to_owned).into_iter().collect();
    asked.retain(|name| !name.contains(','));
    ensure!(asked == files, "it asked for {asked:?}");
    let complaints = page.complaints().await?;
    ensure!(complaints.is_empty(), "the browser complains: {complaints:?}");

    for attempt in [
        format!("fetch('{address}').then(() => 'sent', () => 'refused')"),
        "new Promise((resolve) => { const image = new Image(); image.onload = () => resolve('sent'); image.onerror = () => resolve('refused'); image.src = 'https://example.com/' })".to_owned(),
        "(() => { try { document.body.innerHTML = '<b>'; return 'sent' } catch { return 'refused' } })()".to_owned(),
    ] {
        ensure!(page.evaluate(&attempt).await? == "refused", "the page's policy allows {attempt}");
    }
    Ok(())
}

/// If this failed, the page would be unusable without a mouse: for example, the focus could not leave the editor.
#[tokio::test]
async fn r254_a_keyboard_is_enough() -> Result<()> {
    let (page, _) = open("r254", DESKTOP).await?;
    let focused = "(document.activeElement.shadowRoot?.activeElement ?? document.activeElement)";
    // Tabs around the page, past everything that can be used.
    let mut stops = Vec::new();
    for _ in 0..60 {
        page.press("Tab", 0).await?;
        let stop = page
            .evaluate(&format!(
                "{focused}.getAttribute('aria-label') ?? ({focused}.id || {focused}.textContent.trim())"
            ))
            .await?;
        let stop = stop.as_str().unwrap_or_default().to_owned();
        if stops.first() == Some(&stop) {
            break;
        }
        stops.push(stop);
    }
    for needed in [
        "phantom-token",
        "link",
        "Keycloak",
        "Configuration",
        "method",
        "url",
        "headers",
        "dpop",
        "What the authorization server says of the token",
        "rules[1], line 14",
    ] {
        ensure!(stops.iter().any(|stop| stop == needed), "Tab never reaches {needed}: {stops:?}");
    }

    // Writes a configuration by completion.
    page.evaluate(&format!("{EDITOR}.querySelector('.cm-content').focus()")).await?;
    page.press("a", CONTROL).await?;
    page.type_text("intro").await?;
    page.wait_for(&format!("{EDITOR}.querySelector('.cm-tooltip-autocomplete [aria-selected]')?.textContent.includes('introspection')")).await?;
    page.wait_for(COMPLETION_READY).await?;
    page.press("Enter", 0).await?;
    page.wait_for(&format!("{CONFIGURATION_TEXT} === 'introspection:'")).await?;
    page.press("Enter", 0).await?;
    page.type_text("auth_method: private").await?;
    page.wait_for(&format!("{EDITOR}.querySelector('.cm-tooltip-autocomplete [aria-selected]')?.textContent.includes('private_key_jwt')")).await?;
    page.wait_for(COMPLETION_READY).await?;
    page.press("Enter", 0).await?;
    page.wait_for(&format!("/^introspection:\\n +auth_method: private_key_jwt$/.test({CONFIGURATION_TEXT})"))
        .await?;

    // Jumps to the first error, and on to another part of the page.
    page.wait_for("document.querySelector('#steps').ariaBusy === 'false' && document.querySelectorAll('#findings button').length > 1").await?;
    page.press("Tab", 0).await?;
    page.press("Tab", 0).await?;
    let is_finding = format!("{focused}.closest('#findings') !== null");
    ensure!(page.evaluate(&is_finding).await? == true, "Tab does not leave the editor for the mistakes");
    page.press("Enter", 0).await?;
    page.wait_for(&format!("{focused}.getAttribute('aria-label') === 'Configuration'")).await?;

    // Selects an example and another kind of token.
    page.evaluate("document.querySelector('#examples button').focus()").await?;
    page.press("Tab", 0).await?;
    page.press("Enter", 0).await?;
    page.wait_for("document.querySelector('#examples [aria-pressed=true]')?.textContent === 'Curity'")
        .await?;
    page.evaluate("document.querySelector('input[value=opaque]').focus()").await?;
    page.press("ArrowRight", 0).await?;
    page.wait_for("document.querySelector('input[value=jwt]').checked && document.querySelector('#claims-title').textContent === 'Its claims'").await
}

/// If this failed, the page could not be read on a phone, in the dark, or by people with weak sight.
#[tokio::test]
async fn r255_it_is_read_on_a_phone_and_in_the_dark() -> Result<()> {
    let (page, _) = open("r255", DESKTOP).await?;
    let pictures = paths::root().join("target/playground-pictures");
    std::fs::create_dir_all(&pictures)?;
    let phone = Screen { width: 390, height: 844, ..DESKTOP };
    for (name, screen) in [
        ("light", DESKTOP),
        ("dark", Screen { is_dark: true, ..DESKTOP }),
        ("phone", phone),
        ("phone-dark", Screen { is_dark: true, ..phone }),
    ] {
        page.look_with(screen).await?;
        for (what, example, request) in [
            ("forwarded", "Curity", "A good token"),
            ("refused", "Keycloak", "Scope missing"),
            ("reported", "Report-only", "Claim missing"),
        ] {
            press_button(&page, "examples", example).await?;
            press_button(&page, "tries", request).await?;
            page.picture(&pictures.join(format!("{name}-{what}.png"))).await?;
            let width = page.evaluate("document.scrollingElement.scrollWidth").await?;
            ensure!(width == screen.width, "{name}, {what}: {width} pixels wide");
            page.wait_for(STILL).await?;
            let weak = page.evaluate(WEAK_TEXT).await?;
            ensure!(weak == json!([]), "{name}, {what}: a contrast below 4.5 (WCAG 2.2 §1.4.3): {weak:#}");
        }
        set_configuration(&page, "rules:\n  - { path: orders, acces: public }\n").await?;
        page.picture(&pictures.join(format!("{name}-mistakes.png"))).await?;
        page.wait_for(STILL).await?;
        ensure!(page.evaluate(WEAK_TEXT).await? == json!([]), "{name}: weak mistakes");
    }
    let small = page
        .evaluate("[...document.querySelectorAll('button, .token label, summary')].filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < 24).map((one) => one.textContent)")
        .await?;
    ensure!(small == json!([]), "too small for a finger (WCAG 2.2 §2.5.8): {small}");
    Ok(())
}

/// Opens the page, waits until it is ready, and returns it with its address.
async fn open(name: &str, screen: Screen) -> Result<(Browser, String)> {
    let (folder, _) = paths::playground()?;
    let app = Router::new()
        .route("/playground/{*file}", get(file))
        .route("/playground/", get(index))
        .with_state(folder);
    let address = format!("http://127.0.0.1:{}/playground/", server::serve(app)?);
    let page = Browser::open(&format!("playground-{name}")).await?;
    page.look_with(screen).await?;
    page.visit(&address).await?;
    page.wait_for(READY).await?;
    Ok((page, address))
}

async fn index(State(folder): State<PathBuf>) -> impl IntoResponse {
    file(State(folder), Path("index.html".to_owned())).await
}

async fn file(State(folder): State<PathBuf>, Path(name): Path<String>) -> impl IntoResponse {
    let media_type = match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css",
        Some("js") => "text/javascript",
        _ => "application/octet-stream",
    };
    let bytes = std::fs::read(folder.join(name)).map_err(|_| StatusCode::NOT_FOUND)?;
    Ok::<_, StatusCode>(([(header::CONTENT_TYPE, media_type)], bytes))
}

/// Replaces the configuration as a user would, and waits for the page to react.
async fn set_configuration(page: &Browser, text: &str) -> Result<()> {
    page.evaluate(&format!("{EDITOR}.querySelector('.cm-content').focus()")).await?;
    page.press("a", CONTROL).await?;
    page.press("Delete", 0).await?;
    page.type_text(text).await?;
    page.press("Escape", 0).await?;
    let text = json!(text.trim_end());
    page.wait_for(&format!(
        "document.querySelector('#steps').ariaBusy === 'false' && {CONFIGURATION_TEXT} === {text}"
    ))
    .await
}

async fn press_button(page: &Browser, group: &str, title: &str) -> Result<()> {
    let title = json!(title);
    let button = format!(
        "[...document.querySelectorAll('#{group} button')].find((one) => one.textContent === {title})"
    );
    page.evaluate(&format!("{button}.click()")).await?;
    page.wait_for(&format!("{button}.getAttribute('aria-pressed') === 'true'")).await
}

/// The expected result of each example.
const EXAMPLES: &[(&str, &str, &str)] = &[
    ("Keycloak", "A good token", "Forwarded authorization"),
    ("Keycloak", "Scope missing", "403 insufficient_scope scope=\"orders:write\""),
    ("Keycloak", "No token", "401 missing_credentials"),
    ("Keycloak", "Refresh token", "401 not_an_access_token"),
    ("Keycloak", "Staff only", "Forwarded authorization"),
    ("Keycloak", "Public", "Forwarded came"),
    ("Keycloak", "Path tricks", "400 ambiguous_target"),
    ("Curity", "A good token", "Forwarded x-user: alice"),
    ("Curity", "Step-up", "401 insufficient_user_authentication acr_values=\"gold\" max_age=\"600\""),
    ("Curity", "Another audience", "401 wrong_audience"),
    ("Curity", "Not active", "401 inactive"),
    ("Curity", "Two tokens", "400 repeated_credentials"),
    ("DPoP", "With its proof", "Forwarded Bearer dpop"),
    ("DPoP", "Stolen", "401 proof_required"),
    ("DPoP", "Not bound", "401 binding_required"),
    ("DPoP", "No token", "401 missing_credentials DPoP algs="),
    ("DPoP", "Another key", "401 confirmation_mismatch"),
    ("MCP", "No token", "401 missing_credentials resource_metadata= calendar"),
    ("MCP", "Metadata", "200 itself calendar"),
    ("MCP", "A good token", "Forwarded authorization"),
    ("MCP", "Another server’s", "401 wrong_audience"),
    ("MCP", "Scope missing", "403 insufficient_scope"),
    ("Report-only", "Scope missing", "Forwarded insufficient_scope reported"),
    ("Report-only", "Claim missing", "Forwarded claim_mismatch reported"),
    ("Report-only", "A good token", "Forwarded authorization"),
    ("Report-only", "No token", "401 missing_credentials"),
];

const CONFIGURATION: &str = "introspection: { endpoint: https://login.example.com/i, upstream: \u{1f511}, client_id: g, client_secret: s }\nrules: [{ path: / }]\n";

const DESKTOP: Screen = Screen { width: 1280, height: 900, is_dark: false };

/// The modifier key Control.
const CONTROL: u8 = 2;

const READY: &str = "document.documentElement.dataset.ready !== undefined";
/// No color is on its way to another. Carets blink forever, so other animations do not count.
const STILL: &str = "document.getAnimations().every((one) => !(one instanceof CSSTransition))";

/// The shadow root of the configuration's editor.
const EDITOR: &str = "document.querySelector('#configuration').shadowRoot";

const CONFIGURATION_TEXT: &str = "[...document.querySelector('#configuration').shadowRoot.querySelectorAll('.cm-line')].map((line) => line.textContent).join('\\n').trimEnd()";

/// CodeMirror accepts no key for a list of completions that has just appeared, so that a key meant for the text goes there.
const COMPLETION_READY: &str = "new Promise((resolve) => setTimeout(() => resolve(true), 100))";

const STEPS: &str = "[...document.querySelectorAll('.step')].map((step) => step.innerText)";

const STATE: &str = "[...document.querySelectorAll('#request :is(input, textarea)')].map((one) => ['radio', 'checkbox'].includes(one.type) ? one.checked : one.value)";

/// The texts whose contrast with their background is below 4.5, by the formula of WCAG 2.2.
const WEAK_TEXT: &str = r"(() => {
    const context = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d', { willReadFrequently: true });
    const layers = (element) => {
        const parent = element.parentElement ?? element.getRootNode().host;
        return [...(parent ? layers(parent) : ['Canvas']), getComputedStyle(element).backgroundColor];
    };
    const luminance = (colours) => {
        for (const colour of colours) { context.fillStyle = colour; context.fillRect(0, 0, 1, 1); }
        const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map((part) => part / 255)
            .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
    };
    const weak = [];
    const look = (root) => {
        for (const element of root.querySelectorAll('*')) {
            if (element.shadowRoot) look(element.shadowRoot);
            const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join('').trim();
            if (text === '' || !element.checkVisibility() || ['STYLE', 'SCRIPT', 'OPTION', 'TITLE'].includes(element.tagName)) continue;
            const behind = layers(element);
            const [a, b] = [luminance(behind), luminance([...behind, getComputedStyle(element).color])];
            const contrast = Math.max(a, b) / Math.min(a, b);
            if (contrast < 4.5) weak.push([text.slice(0, 40), Number(contrast.toFixed(2))]);
        }
    };
    look(document);
    return weak;
})()";
