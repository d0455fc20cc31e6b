//! Several peers of one Qdrant: relays before one double, each of which can be closed and can stand still, as a peer can.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use rag_core::doubles::eventually;
use rag_server::{
    adapters::qdrant::{PeerTold, QdrantConnection, QdrantSettings},
    model::{ContentHash, DocumentId},
    ports::{Epoch, Kind, Put, Records, StoreError, Swap, VectorStore},
    resilience::BreakerState,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
};

use crate::{
    qdrant::{Cut, DEADLINE, LOOPBACK, OnDouble, corpus_of, records_of},
    records::put,
    vector_store::{DIMENSION, point},
};

/// How a relay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// It takes what comes, and nothing goes through.
    Still,
    /// Nobody is there.
    Closed,
}

/// Passes on what comes to a server.
struct Relay {
    address: SocketAddr,
    way: watch::Sender<Way>,
    /// How often something came from a client.
    asked: Arc<AtomicUsize>,
}

impl Relay {
    async fn before(server: SocketAddr) -> Self {
        // Keeps the port while nobody listens at it: another test would get it otherwise.
        let port = Self::bound(SocketAddr::from(LOOPBACK));
        let (way, ways) = watch::channel(Way::Open);
        let relay = Self { address: port.local_addr().unwrap(), way, asked: Arc::default() };
        let (listener, asked) = (Self::listening(relay.address), Arc::clone(&relay.asked));
        tokio::spawn(async move {
            let _kept = port;
            Self::listen(listener, server, ways, asked).await;
        });
        relay
    }

    fn bound(address: SocketAddr) -> TcpSocket {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseport(true).unwrap();
        socket.bind(address).unwrap();
        socket
    }

    fn listening(address: SocketAddr) -> TcpListener {
        Self::bound(address).listen(1024).unwrap()
    }

    fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    async fn listen(
        listener: TcpListener,
        server: SocketAddr,
        mut ways: watch::Receiver<Way>,
        asked: Arc<AtomicUsize>,
    ) {
        let address = listener.local_addr().unwrap();
        let mut listener = Some(listener);
        loop {
            let accepted = async {
                match &listener {
                    Some(listener) => listener.accept().await.unwrap().0,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                client = accepted => {
                    tokio::spawn(Self::pass(client, server, ways.clone(), Arc::clone(&asked)));
                }
                changed = ways.changed() => {
                    let Ok(()) = changed else { return };
                    match *ways.borrow_and_update() {
                        Way::Closed => listener = None,
                        Way::Open | Way::Still => {}
                    }
                    if listener.is_none() && *ways.borrow() != Way::Closed {
                        listener = Some(Self::listening(address));
                    }
                }
            }
        }
    }

    async fn pass(mut client: TcpStream, server: SocketAddr, mut ways: watch::Receiver<Way>, asked: Arc<AtomicUsize>) {
        let mut server = TcpStream::connect(server).await.unwrap();
        let (from_server, to_server) = server.split();
        let (from_client, to_client) = client.split();
        let questions = Self::pump(from_client, to_server, ways.clone(), Some(&asked));
        let answers = Self::pump(from_server, to_client, ways.clone(), None);
        tokio::select! {
            () = questions => {}
            () = answers => {}
            _ = ways.wait_for(|way| *way == Way::Closed) => {}
        }
    }

    async fn pump(
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
        mut ways: watch::Receiver<Way>,
        asked: Option<&AtomicUsize>,
    ) {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            asked.map(|asked| asked.fetch_add(1, SeqCst));
            if ways.wait_for(|way| *way != Way::Still).await.is_err() || to.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    }
}

type Told = Arc<Mutex<Vec<(String, BreakerState)>>>;

/// A connection to peers at these addresses, and what is told of them.
fn connect(addresses: &[SocketAddr], deadline: Duration) -> (QdrantConnection, Told) {
    let told = Told::default();
    let changes = Arc::clone(&told);
    let note: PeerTold = Arc::new(move |name, state, changed| {
        if changed {
            changes.lock().unwrap().push((name.to_owned(), state));
        }
    });
    let urls = addresses.iter().map(|address| format!("http://{address}")).collect();
    let settings = QdrantSettings { urls, api_key_file: None, ca_file: None, deadline };
    (QdrantConnection::new(settings, &note).unwrap(), told)
}

struct Cluster {
    storage: OnDouble,
    relays: Vec<Relay>,
}

impl Cluster {
    async fn of(count: usize) -> Self {
        let storage = OnDouble::start().await;
        let mut relays = Vec::new();
        for _ in 0..count {
            relays.push(Relay::before(storage.double.grpc).await);
        }
        Self { storage, relays }
    }

    fn connect(&self, deadline: Duration) -> (QdrantConnection, Told) {
        let addresses: Vec<_> = self.relays.iter().map(|relay| relay.address).collect();
        connect(&addresses, deadline)
    }
}

fn document() -> (DocumentId, ContentHash) {
    ("a.md".parse().unwrap(), ContentHash("v1".to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_to_every_peer_and_to_the_one_that_is_left_when_the_others_are_gone() {
    let cluster = Cluster::of(3).await;
    let (connection, _) = cluster.connect(DEADLINE);
    let (records, corpus) = (records_of(connection.clone()), corpus_of(connection));
    let mut standing = put(&records, Kind::Job, "a", json!(0)).await;
    corpus.create_epoch(Epoch(1), DIMENSION).await.unwrap();
    for _ in 0..3 {
        assert_eq!(records.get(Kind::Job, "a").await, Ok(Some(standing.clone())));
    }
    for relay in &cluster.relays {
        assert!(relay.asked() > 0, "{}", relay.address);
    }
    for gone in [[0, 1], [1, 2], [2, 0]] {
        cluster.relays.iter().for_each(|relay| relay.set(Way::Open));
        gone.iter().for_each(|at| cluster.relays[*at].set(Way::Closed));
        for _ in 0..4 {
            match records.compare_and_set(Kind::Job, "a", standing.version, json!(gone)).await {
                Ok(Swap::Done(next)) => standing = next,
                other => panic!("{gone:?}: {other:?}"),
            }
            assert_eq!(records.get(Kind::Job, "a").await, Ok(Some(standing.clone())));
            corpus.upsert(Epoch(1), vec![point("a.md", "v1", 0, [1.0, 0.0, 0.0, 0.0], &[])]).await.unwrap();
        }
    }
    cluster.relays.iter().for_each(|relay| relay.set(Way::Closed));
    let error = records.get(Kind::Job, "a").await.unwrap_err();
    assert_eq!((error.cause(), error.is_transient()), ("unreachable", true), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_stands_still_is_left_alone_and_is_asked_again_once_it_goes_on() {
    let cluster = Cluster::of(2).await;
    let (connection, told) = cluster.connect(Duration::from_secs(4));
    let records = records_of(connection);
    let standing = put(&records, Kind::Job, "a", json!(0)).await;
    cluster.relays[0].set(Way::Still);
    for _ in 0..8 {
        assert_eq!(records.get(Kind::Job, "a").await, Ok(Some(standing.clone())));
    }
    let name = "vector_store_peer_1".to_owned();
    assert_eq!(told.lock().unwrap().first(), Some(&(name.clone(), BreakerState::Open)));
    cluster.relays[0].set(Way::Open);
    eventually("the peer is trusted again", async || {
        assert_eq!(records.get(Kind::Job, "a").await, Ok(Some(standing.clone())));
        told.lock().unwrap().last() == Some(&(name.clone(), BreakerState::Closed))
    })
    .await;
    let before = cluster.relays[0].asked();
    for _ in 0..2 {
        records.get(Kind::Job, "a").await.unwrap();
    }
    assert!(cluster.relays[0].asked() > before, "it is asked in its turn");
    assert!(told.lock().unwrap().iter().all(|(told, _)| *told == name), "the other peer did nothing wrong: {told:?}");
}

/// Which answer is cut before it arrives, over the first of two peers; then whether the second was asked.
async fn cut(ask: impl AsyncFn(&dyn VectorStore) -> Result<(), StoreError>) -> (Result<(), &'static str>, bool) {
    let storage = OnDouble::start().await;
    let prepared = corpus_of(storage.connect());
    prepared.create_epoch(Epoch(1), DIMENSION).await.unwrap();
    prepared.upsert(Epoch(1), vec![point("a.md", "v1", 0, [1.0, 0.0, 0.0, 0.0], &[])]).await.unwrap();
    let (first, second) = (Cut::before(storage.double.grpc).await, Relay::before(storage.double.grpc).await);
    let (connection, _) = connect(&[first.address, second.address], DEADLINE);
    // The first answer is the version.
    first.answer.store(2, SeqCst);
    let corpus = corpus_of(connection);
    let asked = ask(&corpus).await.map_err(|error| error.cause());
    assert_eq!(first.answer.load(SeqCst), 0, "no answer was cut");
    (asked, second.asked() > 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_do_harm_is_not_sent_again_once_it_may_have_arrived() {
    let (id, version) = document();
    let harmless = cut(async |corpus| corpus.purge(Epoch(1), &id, &version).await).await;
    assert_eq!(harmless.0, Ok(()));
    let labels = ["dept=ops".to_owned()];
    let lost = Err("unreachable");
    assert_eq!(cut(async |corpus| corpus.relabel(Epoch(1), &id, &labels).await).await, (lost, false));
    assert_eq!(cut(async |corpus| corpus.activate(Epoch(1)).await).await, (lost, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_certainly_not_sent_is_sent_to_another_peer() {
    let cluster = Cluster::of(2).await;
    cluster.relays[0].set(Way::Closed);
    eventually("it is closed", async || TcpStream::connect(cluster.relays[0].address).await.is_err()).await;
    let corpus = corpus_of(cluster.connect(DEADLINE).0);
    corpus.create_epoch(Epoch(1), DIMENSION).await.unwrap();
    // Whichever of them begins at the peer that is gone.
    for _ in 0..2 {
        corpus.activate(Epoch(1)).await.unwrap();
        corpus.relabel(Epoch(1), &document().0, &[]).await.unwrap();
    }
    assert_eq!(corpus.active().await, Ok(Some(Epoch(1))));
    assert!(cluster.storage.double.asked("corpus-e1").writes.contains(&("SetPayload", "Strong")));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_racing_writers_over_peers_that_come_and_go_each_wins_what_it_was_told() {
    let cluster = Cluster::of(3).await;
    let (connection, _) = cluster.connect(DEADLINE);
    let counter = records_of(connection.clone());
    put(&counter, Kind::Lease, "n", json!(0)).await;
    let done = Arc::new(AtomicUsize::new(0));
    let writers = (0..3).map(|_| {
        let (records, done) = (records_of(connection.clone()), Arc::clone(&done));
        tokio::spawn(async move {
            let mut won = 0_u64;
            while won < 20 {
                // Who is told of a failure looks again: the write may have come, and is counted only if it was told so.
                let Ok(Some(standing)) = records.get(Kind::Lease, "n").await else { continue };
                let next = json!(standing.body.as_u64().unwrap() + 1);
                match records.compare_and_set(Kind::Lease, "n", standing.version, next).await {
                    Ok(Swap::Done(_)) => won += 1,
                    Ok(Swap::Conflict(_)) => {}
                    Err(error) => assert!(error.is_transient(), "{error}"),
                }
            }
            done.fetch_add(1, SeqCst);
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut turn = 0;
    eventually("all writers are done", async || {
        cluster.relays[turn % 3].set(Way::Open);
        turn += 1;
        cluster.relays[turn % 3].set(Way::Closed);
        done.load(SeqCst) == 3
    })
    .await;
    for writer in writers {
        writer.await.unwrap();
    }
    cluster.relays.iter().for_each(|relay| relay.set(Way::Open));
    let counted = counter.get(Kind::Lease, "n").await.unwrap().unwrap().body.as_u64().unwrap();
    assert!(counted >= 60, "{counted} of 60 acknowledged writes are left");
    let again = counter.put_if_absent(Kind::Lease, "n", json!(0)).await;
    assert!(matches!(again, Ok(Put::Existing(_))), "{again:?}");
}
