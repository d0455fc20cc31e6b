//! The accept loop over real sockets of loopback.

use std::{convert::Infallible, net::IpAddr};

use axum::{body::Body, extract::ConnectInfo, http::StatusCode, routing::get};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
    task::JoinHandle,
};

use super::*;
use crate::doubles::eventually;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A patience that is over soon.
const SHORT: Duration = Duration::from_millis(200);

fn limits(connections: usize) -> Limits {
    Limits { connections, each: connections.div_ceil(2), head: PATIENCE, unread: PATIENCE }
}

struct Bench {
    address: SocketAddr,
    metrics: Metrics,
    /// How many requests to `/wait` have arrived.
    arrived: watch::Receiver<usize>,
    /// `/wait` answers once this is true.
    may_answer: watch::Sender<bool>,
    ending: Ending,
    serving: JoinHandle<()>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Bench {
    async fn of(connections: usize) -> Self {
        Self::with(limits(connections)).await
    }

    async fn with(limits: Limits) -> Self {
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
        let metrics = Metrics::new().unwrap();
        let port = Port { name: "public", limits, router, refusal, metrics: metrics.clone() };
        let listener = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let ending = Ending::default();
        let serving = tokio::spawn(serve(listener, port, OPEN_FILES, ending.clone()));
        Self { address, metrics, arrived, may_answer, ending, serving }
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
        let cut = || self.metrics.doors.cut.with_label_values(&["public", cause]).get();
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
    assert_eq!(bench.metrics.doors.cut.with_label_values(&["public", "idle"]).get(), 0);
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
    let bench = Bench::with(Limits { unread: SHORT, ..limits(2) }).await;
    let _unread = bench.ask(1, "/endless").await;
    bench.until_cut("unread", 1).await;
    assert_eq!(status(&mut bench.ask(1, "/").await).await, OK);
}

/// Reads until the other end closes.
async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    // A connection that is reset is closed as well.
    let _end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said)).await.unwrap();
    said
}

#[tokio::test]
async fn who_only_holds_a_connection_is_sent_away_after_a_while_whatever_it_has_begun() {
    let bench = Bench::with(Limits { head: SHORT, ..limits(32) }).await;
    let beginnings: [&[u8]; 6] = [
        b"",
        b"G",
        b"GET / HTTP/1.1\r\nhost: a\r\nx-slow: ",
        &PREFACE[..9],
        PREFACE,
        // A head of HTTP/2 that says that more of it is to come.
        &[PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(HEADERS, 0, 1, &GET_ROOT)].concat(),
    ];
    for begun in beginnings {
        let mut stream = bench.connect(1).await;
        stream.write_all(begun).await.unwrap();
        until_closed(&mut stream).await;
    }
    // Between two requests as well.
    let mut stream = bench.ask(1, "/").await;
    assert!(until_closed(&mut stream).await.starts_with(OK.as_bytes()));
    // Who is being answered has the time that it takes.
    let mut stream = bench.ask(1, "/wait").await;
    bench.until_arrived(1).await;
    let mut later = bench.ask(1, "/").await;
    until_closed(&mut later).await;
    bench.may_answer.send(true).unwrap();
    assert_eq!(status(&mut stream).await, OK);
}

#[tokio::test]
async fn a_server_that_goes_tells_its_clients_and_waits_for_no_head() {
    let bench = Bench::of(8).await;
    let mut waiting = bench.ask(1, "/wait").await;
    bench.until_arrived(1).await;
    let mut half = bench.connect(1).await;
    half.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
    let mut waiting_too = Http2::connect(&bench, 2, &[]).await;
    waiting_too.ask(1, "/wait").await;
    bench.until_arrived(2).await;
    bench.ending.leaving.cancel();
    let said = String::from_utf8(until_closed(&mut bench.ask(2, "/").await).await).unwrap();
    assert!(said.starts_with(OK) && said.contains("connection: close"), "{said}");
    bench.ending.stopping.cancel();
    until_closed(&mut half).await;
    assert!(!bench.serving.is_finished(), "what is in flight is finished");
    bench.may_answer.send(true).unwrap();
    let said = String::from_utf8(until_closed(&mut waiting).await).unwrap();
    assert!(said.starts_with(OK) && said.ends_with("done"), "{said}");
    assert_eq!(waiting_too.until(HEADERS, 1).await[0], STATUS_200);
    assert_eq!(waiting_too.until(DATA, 1).await, b"done");
    eventually("the port ends", async || bench.serving.is_finished()).await;
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Types of frames, flags, settings and errors of RFC 9113.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_OF_BOTH: u8 = 5;
const INITIAL_WINDOW: u16 = 4;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// What the head of an answer begins with that is as it should be: the eighth of the headers that everybody knows (RFC 7541).
const STATUS_200: u8 = 0x88;

/// `GET /` of `a`, in three known headers and one that is spelled out.
const GET_ROOT: [u8; 6] = [0x82, 0x84, 0x86, 0x41, 1, b'a'];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn get_head(path: &str) -> Vec<u8> {
    [&[0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()], path.as_bytes(), &[0x41, 1, b'a']].concat()
}

/// A client of HTTP/2 that says exactly what it is told to.
struct Http2(TcpStream);

impl Http2 {
    /// Connects from 127.0.0.`host`, with these settings.
    async fn connect(bench: &Bench, host: u8, settings: &[(u16, u32)]) -> Self {
        let settings = settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
        let mut stream = bench.connect(host).await;
        let settings = frame(SETTINGS, 0, 0, &settings.collect::<Vec<_>>());
        stream.write_all(&[PREFACE, &settings].concat()).await.unwrap();
        Self(stream)
    }

    async fn ask(&mut self, stream: u32, path: &str) {
        self.0.write_all(&frame(HEADERS, END_OF_BOTH, stream, &get_head(path))).await.unwrap();
    }

    /// What the next frame of this type says, on this stream.
    async fn until(&mut self, kind: u8, stream: u32) -> Vec<u8> {
        let wanted = async {
            loop {
                let mut head = [0; 9];
                self.0.read_exact(&mut head).await.unwrap();
                let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
                self.0.read_exact(&mut payload).await.unwrap();
                let on = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                if (head[3], on) == (kind, stream) {
                    return payload;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wanted).await.unwrap()
    }
}

/// The number at the end of a frame that says why something ends.
fn reason(payload: &[u8]) -> u32 {
    let at = if payload.len() >= 8 { 4 } else { 0 };
    u32::from_be_bytes(payload[at..at + 4].try_into().unwrap())
}

#[tokio::test]
async fn both_protocols_are_spoken_on_one_port() {
    let bench = Bench::of(8).await;
    let mut two = Http2::connect(&bench, 3, &[]).await;
    for stream in [1, 3] {
        two.ask(stream, "/").await;
        assert_eq!(two.until(HEADERS, stream).await[0], STATUS_200);
        assert_eq!(two.until(DATA, stream).await, b"127.0.0.3");
    }
    assert_eq!(status(&mut bench.ask(3, "/").await).await, OK);
}

#[tokio::test]
async fn a_client_that_takes_its_requests_back_without_end_is_sent_away() {
    let bench = Bench::of(8).await;
    let mut rapid = Http2::connect(&bench, 1, &[]).await;
    let taken_back = |stream| {
        let reset = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
        [frame(HEADERS, END_OF_BOTH, stream, &GET_ROOT), reset].concat()
    };
    let all: Vec<u8> = (0..500).flat_map(|number| taken_back(2 * number + 1)).collect();
    rapid.0.write_all(&all).await.unwrap();
    assert_eq!(reason(&rapid.until(GOAWAY, 0).await), ENHANCE_YOUR_CALM);
    assert_eq!(status(&mut bench.ask(1, "/").await).await, OK);
}

#[tokio::test]
async fn one_connection_has_so_many_requests_at_once() {
    let bench = Bench::of(1024).await;
    let mut many = Http2::connect(&bench, 1, &[]).await;
    let last = 2 * protocol::MAX_STREAMS + 1;
    for stream in (1..=last).step_by(2) {
        many.ask(stream, "/wait").await;
    }
    assert_eq!(reason(&many.until(RST_STREAM, last).await), REFUSED_STREAM);
    bench.until_arrived(protocol::MAX_STREAMS as usize).await;
}

#[tokio::test]
async fn many_requests_over_one_connection_leave_room_for_other_addresses() {
    let bench = Bench::of(4).await;
    let mut greedy = Http2::connect(&bench, 1, &[]).await;
    for stream in [1, 3, 5] {
        greedy.ask(stream, "/wait").await;
    }
    assert_ne!(greedy.until(HEADERS, 5).await[0], STATUS_200);
    bench.until_cut("address_full", 1).await;
    assert_eq!(status(&mut bench.ask(2, "/").await).await, OK);
}

#[tokio::test]
async fn who_reads_its_connection_and_takes_nothing_of_an_answer_is_cut_off() {
    let bench = Bench::with(Limits { unread: SHORT, ..limits(8) }).await;
    for window in [0, 20_000] {
        let mut taker = Http2::connect(&bench, 1, &[(INITIAL_WINDOW, window)]).await;
        taker.ask(1, "/endless").await;
        assert_eq!(taker.until(HEADERS, 1).await[0], STATUS_200);
        until_closed(&mut taker.0).await;
    }
    bench.until_cut("unread", 2).await;
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
