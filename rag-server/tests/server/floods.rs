//! Clients that send much, slowly, or nothing at all, by the hundred: memory stays bounded, others are served meanwhile, and afterwards everything is as before.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use async_compression::tokio::bufread::{GzipEncoder, ZstdEncoder};
use futures::{StreamExt, future::join_all, stream};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::{
    io::{AsyncBufRead, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpSocket, TcpStream},
};

use crate::{
    admission::{metrics, until},
    process::{FREE_PORTS, Home, PATIENCE, Server, problem},
};

const MIB: usize = 1 << 20;

/// Connections that a test holds; the system may not allow it so many open files.
const HELD: u64 = 10_000;

/// A server that has answered a question and read a document, so that what it needs for that is in memory already.
async fn served(home: &Home, config: &str) -> Server {
    let server = home.serve(&format!("{FREE_PORTS}{config}"));
    server.await_ready().await;
    server.ingest("ops/backup.md", "Daily snapshots are kept for 7 days.", "").await;
    others_are_served(&server).await;
    server
}

/// A client from an address of its own.
fn other_client() -> reqwest::Client {
    let client = reqwest::Client::builder().local_address(IpAddr::from([127, 0, 0, 9])).timeout(PATIENCE);
    client.build().unwrap()
}

/// Another client asks for everything, over a connection of its own.
async fn others_are_served(server: &Server) {
    readers_are_served(server).await;
    let document = json!({"documents": [{"id": "a.txt", "text": "a", "title": "a"}], "dry_run": true});
    let ingested = other_client().post(format!("{}/ingest", server.public)).json(&document).send().await.unwrap();
    assert_eq!(ingested.status(), StatusCode::OK);
}

/// Another client asks for everything that brings no document: what documents may hold in memory, one large upload may fill.
async fn readers_are_served(server: &Server) {
    let client = other_client();
    let at = |path: &str| format!("{}{path}", server.public);
    for path in ["/health/live", "/health/ready", "/documents"] {
        assert_eq!(client.get(at(path)).send().await.unwrap().status(), StatusCode::OK, "{path}");
    }
    let question = json!({"query": "How long are daily snapshots kept?"});
    assert_eq!(client.post(at("/query")).json(&question).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(server.manage("/health/live").send().await.unwrap().status(), StatusCode::OK);
}

/// How much memory the process has now, or had at most since the peak was reset.
fn resident(server: &Server, which: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(which)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// What the process has now, from which its peak is counted anew.
fn baseline(server: &Server) -> usize {
    fs::write(format!("/proc/{}/clear_refs", server.child.id()), "5").unwrap();
    resident(server, "VmRSS")
}

fn grew_by_at_most(server: &Server, before: usize, bound: usize) {
    let grew = resident(server, "VmHWM").saturating_sub(before);
    assert!(grew <= bound, "{} MiB more than before, and {} are allowed", grew / MIB, bound / MIB);
}

/// Connects from this address of loopback.
async fn connect(server: &Server, from: [u8; 4]) -> TcpStream {
    let to: SocketAddr = server.public.trim_start_matches("http://").parse().unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    socket.connect(to).await.unwrap()
}

#[tokio::test]
async fn hundreds_of_half_sent_heads_and_bodies_hold_no_place_and_little_memory() {
    rlimit::increase_nofile_limit(4096).unwrap();
    let home = Home::new();
    let server = served(&home, "").await;
    let before = baseline(&server);
    let mut slow = Vec::new();
    for number in 0..600 {
        let mut stream = connect(&server, [127, 0, 0, 1 + (number % 2) as u8]).await;
        let begun = match number % 3 {
            0 => "POST /query HTTP/1.1\r\nhost: localhost\r\nx-slow: ".to_owned(),
            1 => head("/ingest", MIB),
            _ => head("/query", 64 * 1024),
        };
        stream.write_all(format!("{begun}{{\"").as_bytes()).await.unwrap();
        slow.push(stream);
    }
    // What was sent has been read: all that is to come has come.
    until(&server, r#"rag_connections{port="public"} 600"#).await;
    others_are_served(&server).await;
    let told = metrics(&server).await;
    for class in ["questions", "ingests"] {
        assert!(told.contains(&format!("rag_places_taken{{class=\"{class}\"}} 0")), "{told}");
        assert!(told.contains(&format!("rag_requests_shed_total{{class=\"{class}\"}} 0")), "{told}");
    }
    grew_by_at_most(&server, before, 64 * MIB);
    drop(slow);
    until(&server, r#"rag_connections{port="public"} 0"#).await;
    others_are_served(&server).await;
}

fn head(path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

#[tokio::test]
async fn ten_thousand_idle_connections_cost_little_and_make_room_for_who_asks() {
    let files = rlimit::increase_nofile_limit(2 * HELD).unwrap();
    let held = HELD.min(files / 2 - 500);
    if held < HELD {
        eprintln!("{held} connections, because the system allows {files} open files");
    }
    let home = Home::new();
    let server = served(&home, "max_connections = 9000\nmax_connections_per_address = 600\n").await;
    let before = baseline(&server);
    let connections: Vec<TcpStream> = stream::iter(0..held)
        .map(|number| connect(&server, [127, 0, 1, (number % 20) as u8]))
        .buffer_unordered(100)
        .collect()
        .await;
    let seats = held.min(9000).min(files / 2);
    until(&server, &format!(r#"rag_connections{{port="public"}} {seats}"#)).await;
    others_are_served(&server).await;
    grew_by_at_most(&server, before, 200 * MIB);
    let told = metrics(&server).await;
    if held > seats {
        assert!(!told.contains(r#"rag_connections_cut_total{cause="idle",port="public"} 0"#), "{told}");
    }
    assert!(told.contains(r#"rag_connections_cut_total{cause="port_full",port="public"} 0"#), "{told}");
    drop(connections);
    until(&server, r#"rag_connections{port="public"} 0"#).await;
    others_are_served(&server).await;
}

/// A body of two gibibytes, and how much of it was asked for.
fn endless() -> (reqwest::Body, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let pieces = stream::iter(0..2048 * 16).map(move |_| {
        counted.fetch_add(MIB / 16, Relaxed);
        Ok::<_, std::io::Error>(vec![b' '; MIB / 16])
    });
    (reqwest::Body::wrap_stream(pieces), sent)
}

#[tokio::test]
async fn an_upload_of_two_gigabytes_is_refused_at_its_limit_and_holds_no_more_than_that() {
    let home = Home::new();
    let server = served(&home, "").await;
    let before = baseline(&server);
    for (method, path, kind) in [
        (Method::POST, "/ingest", "application/json"),
        (Method::PUT, "/documents/large.txt", "text/plain"),
        (Method::POST, "/mcp", "application/json"),
        (Method::POST, "/query", "application/json"),
        (Method::POST, "/ingest", "multipart/form-data; boundary=x"),
    ] {
        let (body, sent) = endless();
        let upload = server.request(method, path).header("content-type", kind).body(body).send();
        let (refused, ()) = tokio::join!(upload, readers_are_served(&server));
        // Who sends on after its answer may find the connection closed before it has read it.
        if let Ok(refused) = refused {
            problem(refused, 413, "body-too-large").await;
        }
        let sent = sent.load(Relaxed);
        assert!(sent < 64 * MIB, "{path}: {} MiB were taken", sent / MIB);
    }
    let announced = server.post("/ingest").header("content-type", "application/json");
    let announced = announced.header("content-length", 2048 * MIB);
    let nothing = stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let refused = announced.body(reqwest::Body::wrap_stream(nothing)).send().await.unwrap();
    problem(refused, 413, "body-too-large").await;
    // The largest body that may come, what it is read into, and what reading it takes.
    grew_by_at_most(&server, before, 160 * MIB);
    others_are_served(&server).await;
}

/// A gibibyte of blanks.
fn blanks() -> impl AsyncBufRead + Unpin {
    BufReader::with_capacity(MIB, tokio::io::repeat(b' ').take(1 << 30))
}

#[tokio::test]
async fn a_bomb_of_a_gigabyte_ends_at_the_limit_of_its_body() {
    let (mut gzip, mut zstd) = (Vec::new(), Vec::new());
    let fast = async_compression::Level::Fastest;
    GzipEncoder::with_quality(blanks(), fast).read_to_end(&mut gzip).await.unwrap();
    ZstdEncoder::with_quality(blanks(), fast).read_to_end(&mut zstd).await.unwrap();
    assert!(gzip.len() < 16 * MIB && zstd.len() < MIB, "{} and {} bytes", gzip.len(), zstd.len());
    let home = Home::new();
    let server = served(&home, "").await;
    let before = baseline(&server);
    for (encoding, bomb) in [("gzip", &gzip), ("zstd", &zstd)] {
        for path in ["/ingest", "/query", "/v1/embeddings", "/mcp"] {
            let sent = (0..4).map(|_| {
                let bomb = server.post(path).header("content-type", "application/json").body(bomb.clone());
                bomb.header("content-encoding", encoding).send()
            });
            let (refused, ()) = tokio::join!(join_all(sent), readers_are_served(&server));
            for refused in refused {
                let status = match refused {
                    Ok(refused) => refused.status(),
                    // So much is not read to its end for a client that was refused, which may learn no more than that.
                    Err(_) if bomb.len() > 8 * MIB => continue,
                    Err(error) => panic!("{encoding} {path}: {error}"),
                };
                // Of several at once, those are told to come back for which there is no room beside the others.
                let known = [StatusCode::PAYLOAD_TOO_LARGE, StatusCode::SERVICE_UNAVAILABLE];
                assert!(known.contains(&status), "{encoding} {path}: {status}");
            }
        }
    }
    // The room of documents and of texts, twice for what is about to grow, and what each decoder keeps for itself.
    grew_by_at_most(&server, before, 224 * MIB);
    let told = metrics(&server).await;
    assert!(!told.contains("status=\"500\""), "{told}");
    others_are_served(&server).await;
}
