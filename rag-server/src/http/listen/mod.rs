//! The accept loop of a port: connections bounded in number and for each address, slow ones cut off, and a drain that finishes what is in flight.
//!
//! Guarantee: a newcomer is served or refused at once, whoever holds the connections; who only holds one makes room.
//! HTTP/1.1 alone: everything that speaks to the server does, and it is the smaller target.

mod paced;
mod room;
#[cfg(test)]
mod tests;

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::ConnectInfo,
};
use hyper::{
    body::{Body as HttpBody, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use self::{
    paced::Paced,
    room::{Answering, Full, Place, Room, Seats},
};
use crate::metrics::Metrics;

/// Newcomers that are being refused at once; for more there is not even a word.
const MAX_REFUSALS: usize = 64;

/// How long a refused newcomer may take for the head of its request.
const MAX_REFUSED: Duration = Duration::from_secs(2);

/// Bytes of a request's head.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Headers of a request.
const MAX_HEADERS: usize = 100;

/// Why a connection was ended or refused, as a metric label.
const CAUSES: [&str; 4] = [IDLE, PORT_FULL, ADDRESS_FULL, UNREAD];
const IDLE: &str = "idle";
const PORT_FULL: &str = "port_full";
const ADDRESS_FULL: &str = "address_full";
const UNREAD: &str = "unread";

/// Pause after a failed accept; the usual cause is too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Files that the process should be able to hold open; a connection is one.
const OPEN_FILES: u64 = 8192;

/// What a port takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; one address has half of them at most.
    pub connections: usize,
    /// How long a client may take for the head of a request, waiting between two requests included.
    pub head: Duration,
    /// How long a client may leave unread what is sent to it.
    pub unread: Duration,
}

impl Limits {
    /// Of the public port.
    pub const PUBLIC: Self = Self { connections: 1024, head: Duration::from_secs(60), unread: Duration::from_secs(30) };

    /// Of the management port, which a few programs ask.
    pub const MANAGEMENT: Self = Self { connections: 128, ..Self::PUBLIC };

    /// How many of these fit into so many open files, half of which are for everything else.
    fn seats(self, files: u64) -> Seats {
        let all = self.connections.min(usize::try_from(files / 2).unwrap_or(usize::MAX)).max(1);
        Seats { all, each: all.div_ceil(2) }
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

/// Asks the system for as many open files as connections need; how many it allows.
pub fn allow_open_files() -> u64 {
    rlimit::increase_nofile_limit(OPEN_FILES).unwrap_or(OPEN_FILES)
}

/// Serves until `stopping`, then takes no new connection and finishes those that are there. Dropping the future ends them.
pub async fn serve(listener: TcpListener, port: Port, files: u64, stopping: CancellationToken) {
    let connections = TaskTracker::new();
    let ended = CancellationToken::new();
    let _end_with_us = ended.clone().drop_guard();
    let room = Room::new(port.limits.seats(files));
    let refusals = Arc::new(Semaphore::new(MAX_REFUSALS));
    let cut = |cause: &str| port.metrics.connections_cut.with_label_values(&[port.name, cause]);
    // "Never" can be told from "not measured".
    CAUSES.iter().for_each(|cause| cut(cause).reset());
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopping.cancelled() => break,
            accepted = accept(&listener) => accepted,
        };
        let Some((stream, peer)) = accepted else { continue };
        let (stopping, ended) = (stopping.clone(), ended.clone());
        match room.enter(peer.ip()) {
            Ok((place, somebody_went)) => {
                if somebody_went {
                    cut(IDLE).inc();
                }
                let served = Served { router: port.router.clone(), place: Arc::new(place), peer, limits: port.limits };
                let not_read = cut(UNREAD);
                connections.spawn(async move {
                    tokio::select! {
                        unread = served.serve(stream, stopping) => not_read.inc_by(u64::from(unread)),
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

fn protocol() -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).max_buf_size(MAX_HEAD_BYTES).max_headers(MAX_HEADERS);
    protocol
}

/// Answers one request with the refusal.
async fn refuse(stream: TcpStream, refusal: Router) -> Result<(), hyper::Error> {
    let service = service_fn(move |request: hyper::Request<Incoming>| refusal.clone().oneshot(request));
    protocol().keep_alive(false).serve_connection(TokioIo::new(stream), service).await
}

/// One connection that has a place.
struct Served {
    router: Router,
    place: Arc<Place>,
    peer: SocketAddr,
    limits: Limits,
}

impl Served {
    /// Serves until the client goes, a newcomer is given the place, or the drain has finished what is in flight. Whether it ended because the client did not read.
    async fn serve(self, stream: TcpStream, stopping: CancellationToken) -> bool {
        // Answers are small and complete: waiting to fill a packet only adds latency.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "the connection keeps its delay");
        }
        let Self { router, place, peer, limits } = self;
        let seat = Arc::clone(&place);
        let service = service_fn(move |request| answer(router.clone(), seat.answer(), peer, request));
        let stream = TokioIo::new(Paced::new(stream, limits.unread));
        let connection = protocol().header_read_timeout(limits.head).serve_connection(stream, service);
        let mut connection = std::pin::pin!(connection);
        let result = tokio::select! {
            biased;
            () = place.sent_away() => return false,
            result = connection.as_mut() => result,
            () = stopping.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        let Err(error) = result else { return false };
        tracing::debug!(%error, "a connection ended early");
        let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<io::Error>());
        cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut)
    }
}

/// Has a request answered; the connection counts as in use until the last byte of the answer is taken from the handler.
async fn answer(
    router: Router,
    answering: Answering,
    peer: SocketAddr,
    mut request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Held>, Infallible> {
    request.extensions_mut().insert(ConnectInfo(peer));
    let response = router.oneshot(request).await?;
    Ok(response.map(|body| Held { body, _answering: answering }))
}

/// A body, and what is held until it is sent.
struct Held {
    body: Body,
    _answering: Answering,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
