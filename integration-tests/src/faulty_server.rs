//! An authorization server with faults that begin and end while it runs. It writes HTTP by hand, since no library lets a server break the
//! protocol. The name of a token says whether the token is active.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::http1::{Connection, Message};
use crate::load_token::{LoadToken, TokenKind};
use crate::port::ReservedPort;

/// A running server, which stops when it is dropped.
pub struct FaultyServer {
    port: u16,
    orders: watch::Sender<Order>,
    asked: Arc<Asked>,
}

/// How the server reacts to introspections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Healthy,
    Hangs,
    /// Resets the connection after sending half of the response.
    ResetsMidBody,
    /// Resets new connections immediately, and kept-alive ones at the next request.
    ResetsOnAccept,
    /// Responds with bytes that are not HTTP.
    Garbage,
    /// Responds with a body of 50 MiB, to at most four requests at a time, since all processes share one machine.
    Floods,
    /// Sends one byte of its response every 50 ms.
    Trickles,
    /// Announces a longer body than it sends, and closes the connection.
    PromisesTooMuch,
    /// Announces a shorter body than it sends.
    PromisesTooLittle,
    /// Sends a second, unsolicited response after the first, with the JWT of another token.
    AnswersTwice,
    /// Closes kept-alive connections just when the next request arrives.
    ClosesKeptConnections,
    /// Is up and down in turn, for 300 ms each.
    Flaps,
    /// Refuses connections.
    Refuses,
    /// Responds with this status and `Retry-After`.
    Answers(u16),
}

/// A behavior, and when it began.
#[derive(Clone, Copy)]
struct Order {
    behaviour: Behaviour,
    since: Instant,
}

/// How often the server was asked about each known token.
#[derive(Default)]
struct Asked {
    known: Mutex<HashMap<LoadToken, u64>>,
}

impl FaultyServer {
    /// Starts a healthy server.
    pub fn start() -> Result<Self> {
        let port = ReservedPort::new()?;
        let (orders, order) = watch::channel(Order::to(Behaviour::Healthy));
        let asked = Arc::<Asked>::default();
        let number = port.number();
        tokio::spawn(listen(port, order, Arc::clone(&asked)));
        Ok(Self { port: number, orders, asked })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes the behavior of the server.
    pub fn behave(&self, behaviour: Behaviour) {
        self.orders.send_replace(Order::to(behaviour));
    }

    /// How often the server was asked about this known token.
    pub fn introspections(&self, token: LoadToken) -> u64 {
        self.asked
            .known
            .lock()
            .map(|known| known.get(&token).copied().unwrap_or_default())
            .unwrap_or_default()
    }
}

impl Order {
    fn to(behaviour: Behaviour) -> Self {
        Self { behaviour, since: Instant::now() }
    }

    /// Whether an open connection is reset now.
    fn resets(self) -> bool {
        match self.behaviour {
            Behaviour::ResetsOnAccept | Behaviour::Refuses => true,
            Behaviour::Flaps => (self.since.elapsed().as_millis() / FLAP.as_millis()).is_multiple_of(2),
            _ => false,
        }
    }
}

/// Accepts connections, except while the server is meant to be down.
async fn listen(port: ReservedPort, mut order: watch::Receiver<Order>, asked: Arc<Asked>) -> Result<()> {
    let floods = Arc::new(Semaphore::new(FLOODS));
    loop {
        order.wait_for(|order| order.behaviour != Behaviour::Refuses).await?;
        let listener = port.listen()?;
        accept(&listener, &mut order, &asked, &floods).await?;
    }
}

/// Accepts connections until the server is meant to be down.
async fn accept(
    listener: &TcpListener,
    order: &mut watch::Receiver<Order>,
    asked: &Arc<Asked>,
    floods: &Arc<Semaphore>,
) -> Result<()> {
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted?.0,
            refuses = order.wait_for(|order| order.behaviour == Behaviour::Refuses) => {
                refuses?;
                return Ok(());
            }
        };
        let (order, asked, floods) = (order.clone(), Arc::clone(asked), Arc::clone(floods));
        tokio::spawn(async move { serve(stream, order, &asked, &floods).await });
    }
}

async fn serve(
    stream: TcpStream,
    mut order: watch::Receiver<Order>,
    asked: &Asked,
    floods: &Semaphore,
) -> io::Result<()> {
    let mut connection = Connection::new(stream);
    if order.borrow().resets() {
        return connection.reset();
    }
    for number in 0.. {
        let read = tokio::select! {
            read = connection.read() => read?,
            _ = order.wait_for(|order| order.behaviour == Behaviour::Refuses) => return connection.reset(),
        };
        let Some(request) = read else { return Ok(()) };
        let token = token(&request);
        asked.note(token);
        let right = answer(token);
        let now = *order.borrow();
        if now.resets() {
            return connection.reset();
        }
        match now.behaviour {
            Behaviour::Healthy | Behaviour::Flaps => connection.write(&right).await?,
            Behaviour::ResetsOnAccept | Behaviour::Refuses => return connection.reset(),
            Behaviour::Hangs => return connection.closed().await,
            Behaviour::ResetsMidBody => {
                connection.write(&right[..right.len() / 2]).await?;
                // Lets the bytes arrive before the RST, which would discard what the client has not read.
                tokio::time::sleep(Duration::from_millis(5)).await;
                return connection.reset();
            }
            Behaviour::Garbage => connection.write(GARBAGE).await?,
            Behaviour::Floods => {
                let _permit = floods.acquire().await;
                connection.write(head("200 OK", "application/jwt", FLOOD).as_bytes()).await?;
                for _ in 0..FLOOD / CHUNK.len() {
                    connection.write(&CHUNK).await?;
                }
            }
            Behaviour::Trickles => {
                for byte in right.chunks(1) {
                    connection.write(byte).await?;
                    tokio::time::sleep(TRICKLE).await;
                }
            }
            Behaviour::PromisesTooMuch => {
                let body = body(token);
                let head = head("200 OK", "application/jwt", body.len() + 1000);
                return connection.write(&[head.as_bytes(), body.as_bytes()].concat()).await;
            }
            Behaviour::PromisesTooLittle => {
                let head = head("200 OK", "application/jwt", 10);
                connection.write(&[head.as_bytes(), body(token).as_bytes()].concat()).await?;
            }
            Behaviour::AnswersTwice => {
                connection.write(&[right, answer(Some(LoadToken::known(0)))].concat()).await?;
            }
            Behaviour::ClosesKeptConnections if number > 0 => return Ok(()),
            Behaviour::ClosesKeptConnections => connection.write(&right).await?,
            Behaviour::Answers(status) => {
                let head = format!("HTTP/1.1 {status} Sorry\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n");
                connection.write(head.as_bytes()).await?;
            }
        }
    }
    Ok(())
}

impl Asked {
    fn note(&self, token: Option<LoadToken>) {
        if let (Some(token), Ok(mut known)) = (token, self.known.lock())
            && token.kind() == TokenKind::Known
        {
            *known.entry(token).or_default() += 1;
        }
    }
}

/// Returns the token of an introspection. Tokens here need no escapes.
fn token(request: &Message) -> Option<LoadToken> {
    let form = std::str::from_utf8(&request.body).ok()?;
    form.split('&').find_map(|pair| LoadToken::parse(pair.strip_prefix("token=")?))
}

/// The response of a healthy server.
fn answer(token: Option<LoadToken>) -> Vec<u8> {
    match token.filter(|token| token.is_active()) {
        None => INACTIVE.to_vec(),
        Some(token) => {
            let jwt = token.jwt();
            [head("200 OK", "application/jwt", jwt.len()).as_bytes(), jwt.as_bytes()].concat()
        }
    }
}

/// The body for faults that need one, even where a healthy server would respond without.
fn body(token: Option<LoadToken>) -> String {
    token.filter(|token| token.is_active()).map_or_else(|| "x".repeat(1000), LoadToken::jwt)
}

fn head(status: &str, media_type: &str, length: usize) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\r\n")
}

/// Long enough that sending it byte by byte exceeds the gateway's timeout.
const INACTIVE: &[u8] = b"HTTP/1.1 204 No Content\r\ncache-control: no-store\r\npragma: no-cache\r\n\r\n";
const FLAP: Duration = Duration::from_millis(300);
const TRICKLE: Duration = Duration::from_millis(50);
const FLOODS: usize = 4;
const FLOOD: usize = 50 * 1024 * 1024;
static CHUNK: [u8; 64 * 1024] = [b'x'; 64 * 1024];
const GARBAGE: &[u8] =
    b"\x16\x03\x01\x00\xff\x00HTTP\r\n\r\n\xfe\xfd nothing that anybody could read \r\n\r\n\x00";
