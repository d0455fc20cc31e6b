//! The accept loop: connections bounded in number, slow headers cut off, and a drain that finishes what is in flight.
//!
//! HTTP/1.1 alone: everything that speaks to the server does, and it is the smaller target.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Connections at once; whoever comes later waits in the kernel's queue.
const MAX_CONNECTIONS: usize = 1024;

/// How long a client may take for the head of a request, idle connections included.
const MAX_HEAD: Duration = Duration::from_secs(60);

/// Bytes of a request's head.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Headers of a request.
const MAX_HEADERS: usize = 100;

/// Pause after a failed accept; the usual cause is too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Binds an address; the error says which.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("cannot listen on {address}: {e}"));
    TcpListener::bind(address).await.map_err(named)
}

/// Serves until `stopping`, then takes no new connection and finishes those that are there. Dropping the future ends them.
pub async fn serve(listener: TcpListener, router: Router, stopping: CancellationToken) {
    let connections = TaskTracker::new();
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let ended = CancellationToken::new();
    let _end_with_us = ended.clone().drop_guard();
    loop {
        let stream = tokio::select! {
            biased;
            () = stopping.cancelled() => break,
            accepted = accept(&listener, &room) => accepted,
        };
        let Some((stream, permit)) = stream else { continue };
        let (router, stopping, ended) = (router.clone(), stopping.clone(), ended.clone());
        connections.spawn(async move {
            tokio::select! {
                () = connection(stream, router, stopping) => {}
                () = ended.cancelled() => {}
            }
            drop(permit);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) => {
            tracing::warn!(%error, "a connection was not accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection(stream: TcpStream, router: Router, stopping: CancellationToken) {
    // Answers are small and complete: waiting to fill a packet only adds latency.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the connection keeps its delay");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(MAX_HEAD)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
}
