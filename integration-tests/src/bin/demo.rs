//! The phantom token flow with real components on loopback: a certified authorization server, Envoy with the filter as
//! `envoy-config/envoy.yaml` configures it, and an API that shows what it received.
//!
//! `demo` checks each step and exits; `demo --browser` also lets a user log in through an application in Chromium; `demo --keep` leaves
//! everything running and prints what to try.

use std::time::Duration;

use anyhow::{Result, ensure};
use integration_tests::authorization_server::{APP_SECRET, AuthorizationServer};
use integration_tests::browser::Browser;
use integration_tests::client::{Answer, Client, Request};
use integration_tests::example::{self, TIME_TO_LIVE};
use integration_tests::server::Service;
use integration_tests::web_app::WebApp;
use integration_tests::{api, jwt, paths, secrets};

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (browser, keep) = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => (false, false),
        ["--browser"] => (true, false),
        ["--keep"] => (false, true),
        _ => anyhow::bail!("usage: demo [--browser | --keep]"),
    };

    println!("Starting an authorization server (oidc-provider), an API, and Envoy with the filter…");
    let (app, api) = (WebApp::start()?, api::start()?);
    let server = AuthorizationServer::start_for_users("demo", 0, &app.url())?;
    let envoy = example::start("demo", &paths::filter()?, &server, &api, &app.origin()).await?;
    app.configure(server.issuer(), &format!("http://127.0.0.1:{}", envoy.client("ingress").port()))?;
    let story = Story { gateway: envoy.client("ingress"), api, app };
    if browser {
        story.run_as_a_user().await?;
    }
    let server = story.run(server).await?;
    println!("\nAll of it happened as it should.");
    if keep {
        let token = server.issue("orders:read").await?;
        invite(&story, &server, &token);
        tokio::signal::ctrl_c().await?;
    }
    Ok(())
}

struct Story {
    gateway: Client,
    api: Service,
    app: WebApp,
}

impl Story {
    async fn run(&self, server: AuthorizationServer) -> Result<AuthorizationServer> {
        chapter("A client gets an access token. It is opaque: it reveals nothing about the user.");
        let token = server.issue("orders:read").await?;
        println!("    {token}");

        chapter("It calls the API. The API receives a JWT instead, and learns who is calling.");
        let answer = self.call(Request::get("/orders/7").bearer(&token), 200).await?;
        let forwarded = answer.forwarded_authorization().pop().unwrap_or_default();
        let jwt = forwarded.strip_prefix("Bearer ").unwrap_or_default();
        println!("    the API received: authorization: Bearer {}…", jwt.chars().take(40).collect::<String>());
        println!("    its claims: {}", jwt::claims(jwt)?);

        chapter("It calls again. The response of the authorization server is cached: no introspection.");
        for _ in 0..4 {
            self.call(Request::get("/orders/7").bearer(&token), 200).await?;
        }
        let introspections = server.introspections(&token).await?;
        println!("    introspections for 5 calls on 2 workers: {introspections}");
        ensure!(introspections == 1, "the cache does not work");

        chapter("A client calls without a token, and with an unknown one.");
        self.refused(Request::get("/orders/7"), 401).await?;
        self.refused(Request::get("/orders/7").bearer(&secrets::fresh_token("guessed")), 401).await?;

        chapter("The client wants to write, for which its token was not issued.");
        self.refused(Request::post("/orders", "{}").bearer(&token), 403).await?;

        chapter("A client calls a path without a rule. A public path needs no token.");
        self.refused(Request::get("/admin").bearer(&token), 403).await?;
        self.call(Request::get("/health"), 200).await?;

        chapter("The token is revoked. It works for one time to live at most, here 2 seconds.");
        server.revoke(&token).await?;
        tokio::time::sleep(TIME_TO_LIVE + Duration::from_millis(200)).await;
        self.refused(Request::get("/orders/7").bearer(&token), 401).await?;

        chapter("The authorization server goes down. That is not the client's fault, so there is no 401.");
        let other = server.issue("orders:read").await?;
        let port = server.port();
        drop(server);
        let answer = self.refused(Request::get("/orders/7").bearer(&other), 503).await?;
        ensure!(!answer.headers.contains_key("www-authenticate"), "a challenge");
        AuthorizationServer::start_for_users("demo", port, &self.app.url())
    }

    /// A user logs in by authorization code with PKCE, calls the API from a browser application, grants it more, and logs out.
    async fn run_as_a_user(&self) -> Result<()> {
        chapter("Alice opens an application in Chromium, and logs in at the authorization server.");
        let user = Browser::open("demo").await?;
        user.visit(&self.app.url()).await?;
        user.click("body[data-ready] #log-in").await?;
        user.log_in("alice").await?;
        user.consent().await?;
        shows(&user, "GET: 200, alice was served").await?;

        chapter("She places an order. Her token may only read: 403, and the application asks her for more.");
        user.click("#order").await?;
        user.consent().await?;
        shows(&user, "POST: 200, alice was served").await?;

        chapter("The application refreshes its token, and calls again.");
        user.click("#refresh").await?;
        shows(&user, "the token is a new one").await?;
        user.click("#list").await?;
        shows(&user, "GET: 200, alice was served").await?;

        chapter("She logs out. Her token works for one time to live at most, here 2 seconds.");
        user.click("#log-out").await?;
        shows(&user, "the tokens are revoked").await?;
        tokio::time::sleep(TIME_TO_LIVE + Duration::from_millis(200)).await;
        user.click("#list").await?;
        shows(&user, "GET: 401 invalid_token").await?;
        user.close().await
    }

    /// Sends a request, and prints it and its response.
    async fn call(&self, request: Request, status: u16) -> Result<Answer> {
        println!("  > {request}");
        let answer = self.gateway.send(request).await?;
        println!("  < {}", answer.status);
        ensure!(answer.status == status, "expected {status}: {}", answer.text());
        Ok(answer)
    }

    /// Sends a request that must not reach the API.
    async fn refused(&self, request: Request, status: u16) -> Result<Answer> {
        let answer = self.call(request.named("refused"), status).await?;
        for name in ["www-authenticate", "retry-after"] {
            if !answer.header(name).is_empty() {
                println!("    {name}: {}", answer.header(name));
            }
        }
        println!("    {}", answer.text());
        ensure!(self.api.received("refused").is_empty(), "the API received it");
        println!("    the API received nothing");
        Ok(answer)
    }
}

/// Waits until the application shows this text.
async fn shows(user: &Browser, what: &str) -> Result<()> {
    user.reads("#happened", what).await?;
    println!("    the page says: {what}");
    Ok(())
}

fn chapter(text: &str) {
    println!("\n{text}");
}

fn invite(story: &Story, server: &AuthorizationServer, token: &str) {
    let (port, issuer) = (story.gateway.port(), server.issuer());
    println!(
        "
Everything keeps running until you press Ctrl-C. Try:

  curl -i http://127.0.0.1:{port}/orders/7
  curl -i http://127.0.0.1:{port}/orders/7 -H 'Authorization: Bearer {token}'
  curl -i http://127.0.0.1:{port}/orders -X POST -H 'Authorization: Bearer {token}'

A new token, and the end of one:

  curl {issuer}/token -u app:{app_secret} -d grant_type=client_credentials -d 'scope=orders:read orders:write'
  curl {issuer}/token/revocation -u app:{app_secret} -d token={token}

An application whose user logs in, by any name and password, in your browser:

  {app}",
        app_secret = APP_SECRET,
        app = story.app.url(),
    );
}
