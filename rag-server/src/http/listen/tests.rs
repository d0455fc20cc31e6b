//! The accept loop over real sockets of loopback.

use std::net::IpAddr;

use axum::{http::StatusCode, routing::get};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
    task::JoinHandle,
};

use super::*;
use crate::doubles::eventually;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Bench {
    address: SocketAddr,
    metrics: Metrics,
    /// How many requests to `/wait` have arrived.
    arrived: watch::Receiver<usize>,
    /// `/wait` answers once this is true.
    may_answer: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Bench {
    async fn of(connections: usize) -> Self {
        let (may_answer, answer) = watch::channel(false);
        let (arrives, arrived) = watch::channel(0);
        let wait = get(move || {
            let mut answer = answer.clone();
            arrives.send_modify(|requests| *requests += 1);
            async move { answer.wait_for(|may| *may).await.map(|_| "done").map_err(|_| StatusCode::GONE) }
        });
        let endless = get(|| async { Body::from_stream(futures::stream::repeat(Ok::<_, Infallible>(vec![0; 65536]))) });
        let router = Router::new()
            .route("/wait", wait)
            .route("/endless", endless)
            .route("/", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() }));
        let refusal = Router::new().fallback(|| async { StatusCode::SERVICE_UNAVAILABLE });
        let limits = Limits { connections, head: PATIENCE, unread: Duration::from_millis(200) };
        let metrics = Metrics::new().unwrap();
        let port = Port { name: "public", limits, router, refusal, metrics: metrics.clone() };
        let listener = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(serve(listener, port, OPEN_FILES, CancellationToken::new()));
        Self { address, metrics, arrived, may_answer, serving }
    }

    /// Connects from 127.0.0.`host`.
    async fn connect(&self, host: u8) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((IpAddr::from([127, 0, 0, host]), 0))).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    /// Connects and asks, without reading.
    async fn ask(&self, host: u8, path: &str) -> TcpStream {
        let mut stream = self.connect(host).await;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await.unwrap();
        stream
    }

    /// Until then their connections are only held, and would make room.
    async fn until_arrived(&self, requests: usize) {
        let mut arrived = self.arrived.clone();
        tokio::time::timeout(PATIENCE, arrived.wait_for(|so_far| *so_far == requests)).await.unwrap().unwrap();
    }

    async fn until_cut(&self, cause: &str, times: u64) {
        let cut = || self.metrics.connections_cut.with_label_values(&["public", cause]).get();
        eventually("connections are cut", async || cut() >= times).await;
        assert_eq!(cut(), times, "{cause}");
    }
}

/// The first line of what is answered.
async fn status(stream: &mut TcpStream) -> String {
    let mut answer = [0; 4096];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await.unwrap().unwrap_or(0);
    String::from_utf8_lossy(&answer[..read]).lines().next().unwrap_or_default().to_owned()
}

const OK: &str = "HTTP/1.1 200 OK";
const REFUSED: &str = "HTTP/1.1 503 Service Unavailable";

#[tokio::test]
async fn who_only_holds_a_connection_makes_room_the_longest_held_first() {
    let bench = Bench::of(4).await;
    let mut held = [bench.connect(1).await, bench.connect(1).await, bench.connect(2).await, bench.connect(2).await];
    // A head that never ends holds a connection as well.
    held[0].write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
    assert_eq!(status(&mut bench.ask(3, "/").await).await, OK);
    bench.until_cut("idle", 1).await;
    assert_eq!(status(&mut held[0]).await, "", "it was closed");
    held[1].write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert_eq!(status(&mut held[1]).await, OK, "the others still stand");
}

#[tokio::test]
async fn a_port_on_which_everybody_is_answered_refuses_a_newcomer_at_once() {
    let bench = Bench::of(4).await;
    let mut answered = Vec::new();
    for host in [1, 1, 2, 2] {
        answered.push(bench.ask(host, "/wait").await);
    }
    bench.until_arrived(4).await;
    assert_eq!(status(&mut bench.ask(3, "/").await).await, REFUSED);
    bench.until_cut("port_full", 1).await;
    assert_eq!(bench.metrics.connections_cut.with_label_values(&["public", "idle"]).get(), 0);
    bench.may_answer.send(true).unwrap();
    for stream in &mut answered {
        assert_eq!(status(stream).await, OK);
    }
    assert_eq!(status(&mut bench.ask(3, "/").await).await, OK);
}

#[tokio::test]
async fn one_address_leaves_room_for_the_others() {
    let bench = Bench::of(4).await;
    let _answered = [bench.ask(1, "/wait").await, bench.ask(1, "/wait").await];
    bench.until_arrived(2).await;
    let mut third = bench.ask(1, "/wait").await;
    assert_eq!(status(&mut third).await, REFUSED);
    let mut other = bench.ask(2, "/").await;
    assert_eq!(status(&mut other).await, OK);
    bench.until_cut("address_full", 1).await;
}

#[tokio::test]
async fn who_does_not_read_is_cut_off() {
    let bench = Bench::of(2).await;
    let _unread = bench.ask(1, "/endless").await;
    bench.until_cut("unread", 1).await;
    assert_eq!(status(&mut bench.ask(1, "/").await).await, OK);
}

/// What a kernel without IPv6 says, which no test can take away.
async fn of_a_kernel_without_ipv6(address: SocketAddr) -> io::Result<SocketAddr> {
    if address.is_ipv6() { Err(io::Error::from_raw_os_error(97)) } else { Ok(address) }
}

#[tokio::test]
async fn all_addresses_are_those_of_both_families() {
    let listener = bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let _reached = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    if bind(SocketAddr::from((Ipv6Addr::LOCALHOST, 0))).await.is_ok() {
        let _reached = TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.unwrap();
    }
}

#[tokio::test]
async fn both_families_are_asked_for_where_the_system_would_give_one() {
    // Where the kernel has no IPv6 there is nothing to ask.
    let Ok(socket) = TcpSocket::new_v6() else { return };
    SockRef::from(&socket).set_only_v6(true).unwrap();
    take_both_families(&socket).unwrap();
    assert!(!SockRef::from(&socket).only_v6().unwrap());
}

#[tokio::test]
async fn without_ipv6_all_addresses_are_those_of_ipv4() {
    let all = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 8080));
    let bound = bind_by(of_a_kernel_without_ipv6, all).await.unwrap();
    assert_eq!(bound, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)));
    let one = SocketAddr::from((Ipv6Addr::LOCALHOST, 8080));
    let refused = bind_by(of_a_kernel_without_ipv6, one).await.unwrap_err();
    assert!(refused.to_string().starts_with("cannot listen on [::1]:8080: "), "one address is not another: {refused}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_not_taken_for_a_missing_family() {
    let first = bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))).await.unwrap();
    let taken = first.local_addr().unwrap();
    let refused = bind(taken).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    assert!(refused.to_string().starts_with(&format!("cannot listen on {taken}: ")), "{refused}");
}
