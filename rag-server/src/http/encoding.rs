//! Bodies that come encoded: decoded while they are read, so that whoever reads one sees and counts what it says.
//!
//! Memory: what comes out of a decoder is bounded as every body is, piece by piece, so that a bomb ends at the limit; what goes in is bounded by the same limit, so that one which says nothing for ever
//! ends there, too. What a decoder keeps for itself: 32 KiB of gzip, 8 MiB of zstd, of brotli about as much as it has written.

use std::{io, pin::Pin};

use async_compression::{
    tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder},
    zstd::DParameter,
};
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use tokio::io::AsyncRead;
use tokio_util::io::{ReaderStream, StreamReader};

use super::{
    error::{Code, Problem},
    extract::declared_length,
    room::too_large,
    state::Api,
};

/// What is decoded, as the header says it.
const TAKEN: &str = "gzip, br, zstd";

/// What zstd may keep of what it wrote: 8 MiB, as everything keeps to that sends it over HTTP.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Bytes that are decoded at once.
const PIECE: usize = 16 * 1024;

/// Longest piece of an encoding's name that is said back.
const MAX_ECHO: usize = 64;

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Gzip,
    Brotli,
    Zstd,
}

impl Encoding {
    /// What the headers say; none for a body that is sent as it is, and an error that names what is not decoded.
    fn of(headers: &HeaderMap) -> Result<Option<Self>, String> {
        let said = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        let all: Vec<String> = headers.get_all(header::CONTENT_ENCODING).iter().map(said).collect();
        let all = all.join(",");
        let mut names = all.split(',').map(str::trim).filter(|name| !name.is_empty() && *name != "identity");
        match (names.next(), names.next()) {
            (None, _) => Ok(None),
            (Some("gzip" | "x-gzip"), None) => Ok(Some(Self::Gzip)),
            (Some("br"), None) => Ok(Some(Self::Brotli)),
            (Some("zstd"), None) => Ok(Some(Self::Zstd)),
            _ => Err(all.chars().filter(|c| !c.is_control()).take(MAX_ECHO).collect()),
        }
    }

    /// Reads what `encoded` says.
    fn decoder(self, encoded: impl tokio::io::AsyncBufRead + Send + 'static) -> Pin<Box<dyn AsyncRead + Send>> {
        match self {
            Self::Gzip => {
                let mut decoder = GzipDecoder::new(encoded);
                decoder.multiple_members(true);
                Box::pin(decoder)
            }
            Self::Brotli => Box::pin(BrotliDecoder::new(encoded)),
            Self::Zstd => {
                let mut decoder = ZstdDecoder::with_params(encoded, &[DParameter::window_log_max(ZSTD_WINDOW_LOG)]);
                decoder.multiple_members(true);
                Box::pin(decoder)
            }
        }
    }
}

/// The layer around routes that do work.
pub(super) async fn decode(State(api): State<Api>, request: Request, next: Next) -> Response {
    let limit = api.server.max_body_bytes;
    match Encoding::of(request.headers()) {
        Ok(None) => next.run(request).await,
        Ok(Some(_)) if declared_length(request.headers()).is_some_and(|length| length > limit) => {
            too_large(limit).into_response()
        }
        Ok(Some(encoding)) => next.run(decoded(request, encoding, limit)).await,
        Err(given) => {
            let detail = format!(
                "a body with Content-Encoding: {given} is not read here; send it as it is, or with one of {TAKEN}"
            );
            let mut response = Problem::new(Code::UnsupportedEncoding, detail).into_response();
            response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static(TAKEN));
            response
        }
    }
}

/// The request as if its body had been sent as it is.
fn decoded(request: Request, encoding: Encoding, limit: usize) -> Request {
    let (mut parts, body) = request.into_parts();
    parts.headers.remove(header::CONTENT_ENCODING);
    parts.headers.remove(header::CONTENT_LENGTH);
    let mut left = limit;
    let encoded = body.into_data_stream().map(move |piece| {
        let piece = piece.map_err(|error| io::Error::new(io::ErrorKind::ConnectionAborted, error))?;
        left = left.checked_sub(piece.len()).ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        Ok::<_, io::Error>(piece)
    });
    let decoder = encoding.decoder(StreamReader::new(encoded));
    // What a form's reader takes in at once is bounded here alone: it waits for no piece while there is one.
    let mut room = limit;
    let plain = ReaderStream::with_capacity(decoder, PIECE).map(move |piece| {
        let piece = piece?;
        room = room.checked_sub(piece.len()).ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        Ok::<_, io::Error>(piece)
    });
    Request::from_parts(parts, Body::from_stream(plain))
}

/// Why a body could not be read to its end.
pub(super) fn unread(error: axum::Error, limit: usize) -> Problem {
    let mut cause = error.into_inner();
    // A body of a stream wraps its error more than once.
    while cause.is::<axum::Error>() {
        match cause.downcast::<axum::Error>() {
            Ok(inner) => cause = inner.into_inner(),
            Err(same) => {
                cause = same;
                break;
            }
        }
    }
    match cause.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::FileTooLarge) => too_large(limit),
        // Of the connection, and of the watch over it.
        None | Some(io::ErrorKind::ConnectionAborted | io::ErrorKind::TimedOut) => {
            Problem::new(Code::BadRequest, "the body broke off; send it again")
        }
        Some(_) => Problem::new(Code::BadRequest, "the body is not what its Content-Encoding says, or it is cut off"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_decoded_is_told_from_what_is_refused_by_name() {
        let of = |values: &[&'static str]| {
            let values = values.iter().map(|value| (header::CONTENT_ENCODING, HeaderValue::from_static(value)));
            let mut headers = HeaderMap::new();
            values.for_each(|(name, value)| {
                headers.append(name, value);
            });
            Encoding::of(&headers)
        };
        for plain in [&[][..], &["identity"], &[""], &["identity, identity"]] {
            assert_eq!(of(plain), Ok(None), "{plain:?}");
        }
        assert_eq!(of(&["gzip"]), Ok(Some(Encoding::Gzip)));
        assert_eq!(of(&["X-GZip"]), Ok(Some(Encoding::Gzip)));
        assert_eq!(of(&["identity, BR"]), Ok(Some(Encoding::Brotli)));
        assert_eq!(of(&[" zstd "]), Ok(Some(Encoding::Zstd)));
        for (given, told) in [
            (&["deflate"][..], "deflate"),
            (&["compress"], "compress"),
            (&["gzip, br"], "gzip, br"),
            (&["gzip", "gzip"], "gzip,gzip"),
        ] {
            assert_eq!(of(given), Err(told.to_owned()));
        }
    }
}
