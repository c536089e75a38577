//! The API behind a load: it records every request, and checks each for what must never arrive.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use tokio::net::{TcpListener, TcpStream};

use crate::http1::{Connection, Message};
use crate::load_token::{self, LoadToken};

pub struct RecordingApi {
    port: u16,
    account: Arc<Mutex<Account>>,
}

#[derive(Default)]
pub struct Account {
    /// How often each request arrived, by its number.
    pub arrivals: HashMap<u64, u32>,
    /// What arrived and must not, in sentences without secrets.
    pub complaints: Vec<String>,
}

impl RecordingApi {
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let account = Arc::<Mutex<Account>>::default();
        let shared = Arc::clone(&account);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Ok(Self { port, account })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// What arrived since this was asked before.
    pub fn take_account(&self) -> Account {
        self.account.lock().map(|mut account| std::mem::take(&mut *account)).unwrap_or_default()
    }
}

/// The path of a request: its number, and what its token is called, so that the API knows which JWT is right for it.
pub(crate) fn path(request: u64, token: Option<LoadToken>) -> String {
    match token {
        Some(token) => format!("/orders/{request}/{token}"),
        None => format!("/orders/{request}/none"),
    }
}

async fn serve(stream: TcpStream, account: Arc<Mutex<Account>>) -> std::io::Result<()> {
    let mut connection = Connection::new(stream);
    while let Some(request) = connection.read().await? {
        let (number, complaint) = examine(&request);
        if let Ok(mut account) = account.lock() {
            *account.arrivals.entry(number).or_default() += 1;
            account.complaints.extend(complaint);
        }
        let body = number.to_string();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        connection.write(answer.as_bytes()).await?;
    }
    Ok(())
}

/// The request's number, and what is wrong with it.
fn examine(request: &Message) -> (u64, Option<String>) {
    let target = request.first_line().split(' ').nth(1).unwrap_or_default();
    let mut segments = target.split('/').skip(2);
    let number = segments.next().and_then(|number| number.parse().ok()).unwrap_or(u64::MAX);
    let name = segments.next().unwrap_or_default();
    let credentials: Vec<&str> = request.fields("authorization").collect();
    let wrong = match name.parse::<LoadToken>() {
        Err(_) => Some("has no token"),
        Ok(token) if !token.is_active() => Some("has a token that is not active"),
        Ok(_) if request.head.contains(load_token::prefix()) => Some("came with its opaque token"),
        Ok(token) if credentials != [format!("Bearer {}", token.jwt())] => {
            Some("came without the JWT of its token, or with more")
        }
        Ok(_) => None,
    };
    (number, wrong.map(|wrong| format!("the API received the request {number} ({name}), which {wrong}")))
}
