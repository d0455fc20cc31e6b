//! What a connection may bring, of HTTP/1.1 and of HTTP/2: heads, headers, streams, and what is kept for a client that does not read.
//!
//! Every bound of HTTP/2 is set here, also where it is the library's own, so that an update of the library changes none.

use std::time::Duration;

use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto::Builder,
};

/// Bytes of a request's head, in either protocol.
pub(super) const MAX_HEAD_BYTES: u32 = 64 * 1024;

/// Headers of a request of HTTP/1.1; of HTTP/2 their bytes alone are bounded, at 32 for each beside its own.
const MAX_HEADERS: usize = 100;

/// Requests of one connection of HTTP/2 at once: what a client library sends over one connection before it opens the next.
pub(super) const MAX_STREAMS: u32 = 64;

/// Bytes of a body that may come before somebody reads them, for each request and for each connection.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;

/// Bytes of a frame; the least that the protocol allows.
const MAX_FRAME_BYTES: u32 = 16 * 1024;

/// Bytes of an answer that are kept for a client which does not take them; the rest of it is not asked for.
const MAX_SEND_BYTES: usize = 64 * 1024;

/// Requests that a client took back before they were begun, after which the connection ends: otherwise it could have work begun without end (CVE-2023-44487).
const MAX_RESETS: usize = 20;

/// The same of requests that broke the protocol, so that the server took them back.
const MAX_ERROR_RESETS: usize = 64;

/// Between two questions whether the client of a connection of HTTP/2 is still there.
const PING: Duration = Duration::from_secs(20);

/// Either protocol; a client that leaves a ping unanswered for so long is gone.
pub(super) fn protocol(patience: Duration) -> Builder<TokioExecutor> {
    let mut protocol = Builder::new(TokioExecutor::new());
    protocol.http1().timer(TokioTimer::new()).max_buf_size(MAX_HEAD_BYTES as usize).max_headers(MAX_HEADERS);
    protocol
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .adaptive_window(false)
        .max_frame_size(MAX_FRAME_BYTES)
        .max_send_buf_size(MAX_SEND_BYTES)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_ERROR_RESETS)
        .keep_alive_interval(PING)
        .keep_alive_timeout(patience);
    protocol
}
