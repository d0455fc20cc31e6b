//! The accept loop of a port: connections bounded in number and for each address, slow ones cut off, and a drain that finishes what is in flight.
//!
//! Guarantee: a newcomer is served or refused at once, whoever holds the connections; who only holds one makes room.
//! HTTP/1.1, and HTTP/2 of clients that know beforehand that it is spoken here: there is no TLS in which it could be agreed on. Both keep to the same rules.

mod answer;
mod paced;
mod protocol;
mod room;
#[cfg(test)]
mod tests;

use std::{
    error::Error,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use prometheus::IntGauge;
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use self::{
    answer::{Answers, Unread},
    paced::Paced,
    protocol::protocol,
    room::{Full, Place, Room, Seats},
};
use crate::{config::Server, metrics::Metrics};

/// Newcomers that are being refused at once; for more there is not even a word.
const MAX_REFUSALS: usize = 64;

/// How long a refused newcomer may take for the head of its request.
const MAX_REFUSED: Duration = Duration::from_secs(2);

/// How long a stop waits for a head that is on its way: who has sent half of it is not in flight.
const LAST_HEAD: Duration = Duration::from_secs(2);

/// Why a connection was ended or refused, as a metric label.
const CAUSES: [&str; 4] = [IDLE, PORT_FULL, ADDRESS_FULL, UNREAD];
const IDLE: &str = "idle";
const PORT_FULL: &str = "port_full";
const ADDRESS_FULL: &str = "address_full";
const UNREAD: &str = "unread";

/// Pause after a failed accept; the usual cause is too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Files that the process should be able to hold open at least; a connection is one.
const OPEN_FILES: u64 = 8192;

/// What a port takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once, and requests that are answered at once.
    pub connections: usize,
    /// How many of them one address has at most.
    pub each: usize,
    /// How long a client may take for the head of a request, waiting between two requests included.
    pub head: Duration,
    /// How long a client may leave unread what is sent to it.
    pub unread: Duration,
}

impl Limits {
    /// Of the management port, which a few programs ask.
    pub const MANAGEMENT: Self =
        Self { connections: 128, each: 64, head: Duration::from_secs(60), unread: Duration::from_secs(30) };

    /// Of the public port.
    pub fn public(server: &Server) -> Self {
        let connections = server.max_connections;
        let each = server.max_connections_per_address.unwrap_or(connections.div_ceil(2));
        Self { connections, each, ..Self::MANAGEMENT }
    }

    /// How many of these fit into so many open files, half of which are for everything else.
    fn seats(self, files: u64) -> Seats {
        let files = usize::try_from(files / 2).unwrap_or(usize::MAX).max(1);
        let all = self.connections.min(files);
        // As large a share of what there is as it was meant to be.
        let each = if all < self.connections { self.each.min(all.div_ceil(2)) } else { self.each };
        Seats { all, each }
    }
}

/// What is served on a port, and to how many.
pub struct Port {
    /// Names it in metrics.
    pub name: &'static str,
    /// What it takes.
    pub limits: Limits,
    /// What is served.
    pub router: Router,
    /// What a newcomer is told for whom there is no connection.
    pub refusal: Router,
    /// Where connections are counted.
    pub metrics: Metrics,
}

/// Binds an address; the error says which. All addresses of IPv6 are those of IPv4 as well, and where the kernel has no IPv6, those
/// of IPv4 alone.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    bind_by(listen, address).await
}

/// Connections that wait to be accepted; the kernel has a limit of its own.
const BACKLOG: u32 = 1024;

async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        take_both_families(&socket)?;
    }
    // A server that starts again need not wait for the connections of the one before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Says so of a socket of IPv6: without a word it is as the system is set, and on some of IPv6 alone.
fn take_both_families(socket: &TcpSocket) -> io::Result<()> {
    SockRef::from(socket).set_only_v6(false)
}

async fn bind_by<L, B>(bind: impl Fn(SocketAddr) -> B, address: SocketAddr) -> io::Result<L>
where
    B: Future<Output = io::Result<L>>,
{
    let named =
        |address: SocketAddr, e: io::Error| io::Error::new(e.kind(), format!("cannot listen on {address}: {e}"));
    match bind(address).await {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && !is_refused(&error) => {
            let instead = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
            tracing::info!(%address, %error, %instead, "there is no IPv6 here");
            bind(instead).await.map_err(|error| named(instead, error))
        }
        bound => bound.map_err(|error| named(address, error)),
    }
}

/// Whether it is this port that is not to be had, rather than the family.
fn is_refused(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

/// Asks the system for as many open files as so many connections need; how many it allows.
pub fn allow_open_files(connections: usize) -> u64 {
    let wanted = OPEN_FILES.max(4 * connections as u64);
    rlimit::increase_nofile_limit(wanted).unwrap_or(OPEN_FILES)
}

/// When a port ends.
#[derive(Debug, Clone, Default)]
pub struct Ending {
    /// From then on clients are told to come back over another connection, which may lead them to another server.
    pub leaving: CancellationToken,
    /// From then on no connection is taken, and those that are there end when what is in flight is finished.
    pub stopping: CancellationToken,
}

/// Serves until it ends. Dropping the future ends every connection.
pub async fn serve(listener: TcpListener, port: Port, files: u64, ending: Ending) {
    let connections = TaskTracker::new();
    let ended = CancellationToken::new();
    let _end_with_us = ended.clone().drop_guard();
    let room = Room::new(port.limits.seats(files));
    let refusals = Arc::new(Semaphore::new(MAX_REFUSALS));
    let cut = |cause: &str| port.metrics.doors.cut.with_label_values(&[port.name, cause]);
    // "Never" can be told from "not measured".
    CAUSES.iter().for_each(|cause| cut(cause).reset());
    loop {
        let accepted = tokio::select! {
            biased;
            () = ending.stopping.cancelled() => break,
            accepted = accept(&listener) => accepted,
        };
        let Some((stream, peer)) = accepted else { continue };
        let ended = ended.clone();
        match room.enter(peer.ip()) {
            Ok((place, somebody_went)) => {
                if somebody_went {
                    cut(IDLE).inc();
                }
                let served = Served { place: Arc::new(place), peer, limits: port.limits, ending: ending.clone() };
                let answers = Answers {
                    router: port.router.clone(),
                    refusal: port.refusal.clone(),
                    refused: [PORT_FULL, ADDRESS_FULL].map(&cut),
                    unread: Unread::default(),
                };
                let (not_read, open) = (cut(UNREAD), Open::count(&port));
                connections.spawn(async move {
                    let _open = open;
                    tokio::select! {
                        unread = served.serve(stream, answers) => not_read.inc_by(u64::from(unread)),
                        () = ended.cancelled() => {}
                    }
                });
            }
            Err(full) => {
                cut(if full == Full::Port { PORT_FULL } else { ADDRESS_FULL }).inc();
                let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() else { continue };
                let refusal = port.refusal.clone();
                connections.spawn(async move {
                    // Whoever does not listen to the end only learns less.
                    let _told = tokio::time::timeout(MAX_REFUSED, refuse(stream, refusal)).await;
                    drop(permit);
                });
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Counts a connection for as long as it is open.
struct Open(IntGauge);

impl Open {
    fn count(port: &Port) -> Self {
        let open = port.metrics.doors.connections.with_label_values(&[port.name]);
        open.inc();
        Self(open)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            tracing::warn!(%error, "a connection was not accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Answers one request with the refusal.
async fn refuse(stream: TcpStream, refusal: Router) -> Result<(), Box<dyn Error + Send + Sync>> {
    let service = service_fn(move |request: hyper::Request<Incoming>| refusal.clone().oneshot(request));
    let mut protocol = protocol(MAX_REFUSED);
    protocol.http1().keep_alive(false);
    protocol.serve_connection(TokioIo::new(stream), service).await
}

/// One connection that has a place.
struct Served {
    place: Arc<Place>,
    peer: SocketAddr,
    limits: Limits,
    ending: Ending,
}

impl Served {
    /// Serves until the client goes or only holds the connection, a newcomer is given the place, or the drain has finished what is in flight. Whether it ended because the client did not read.
    async fn serve(self, stream: TcpStream, answers: Answers) -> bool {
        // Answers are small and complete: waiting to fill a packet only adds latency.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "the connection keeps its delay");
        }
        let Self { place, peer, limits, ending: Ending { leaving, stopping } } = self;
        let (unread, seat) = (answers.unread.clone(), Arc::clone(&place));
        let service =
            service_fn(move |request| answers.clone().answer(Arc::clone(&seat), peer, leaving.clone(), request));
        let stream = TokioIo::new(Paced::new(stream, limits.unread));
        let protocol = protocol(limits.unread);
        let mut connection = std::pin::pin!(protocol.serve_connection(stream, service));
        let result = tokio::select! {
            biased;
            () = place.sent_away() => return false,
            () = place.idle(limits.head) => return false,
            () = unread.for_too_long(limits.unread) => return true,
            result = connection.as_mut() => result,
            () = stopping.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    () = place.idle(LAST_HEAD) => return false,
                    () = unread.for_too_long(limits.unread) => return true,
                    result = connection.as_mut() => result,
                }
            }
        };
        let Err(error) = result else { return false };
        tracing::debug!(%error, "a connection ended early");
        is_timed_out(&*error)
    }
}

/// Whether the cause of all is that the client did not read in time.
fn is_timed_out(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return true;
        }
        cause = error.source();
    }
    false
}
