//! `multipart/form-data`: files by name, and a few text fields beside them. What a client such as `curl -F` sends.
//!
//! Memory: room for its bytes is taken as they come, as for JSON; nothing is written to a disk.

use std::{collections::BTreeMap, error::Error as _, io};

use axum::{
    extract::{
        DefaultBodyLimit, FromRequest, Multipart, Request,
        multipart::{Field, MultipartError},
    },
    http::{HeaderMap, StatusCode, header},
};

use super::{
    entry,
    error::{Code, Problem},
    room::{Room, too_large},
    state::Api,
};
use crate::resilience::Bodies;

/// Parts of a form; more are refused before they are read.
const MAX_PARTS: usize = 1100;
/// Bytes of a text field.
const MAX_FIELD_BYTES: usize = 64 * 1024;

/// A form. Its room is given back when this is dropped.
pub(super) struct Form {
    /// Files in their order.
    pub(super) files: Vec<File>,
    /// Text fields by name.
    pub(super) fields: BTreeMap<String, String>,
    /// The room that the files take.
    pub(super) room: Room,
}

/// A file of a form.
pub(super) struct File {
    /// The name that the client gave it.
    pub(super) name: String,
    /// Its content type, if it has one.
    pub(super) kind: Option<String>,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
}

/// Whether a request carries a form.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("multipart/form-data")
}

impl FromRequest<Api> for Form {
    type Rejection = Problem;

    async fn from_request(mut request: Request, api: &Api) -> Result<Self, Problem> {
        let extensions = request.extensions().clone();
        let room = Room::open(api, Bodies::Documents, request.headers())?;
        let limit = api.server.max_body_bytes;
        // Of the form as a whole: what is no part of it is read as well. The files are counted below.
        DefaultBodyLimit::max(limit).apply(&mut request);
        let mut parts = Multipart::from_request(request, api)
            .await
            .map_err(|error| Problem::new(Code::BadRequest, format!("the form: {}", error.body_text())))?;
        let mut form = Self { files: Vec::new(), fields: BTreeMap::new(), room };
        while let Some(field) = parts.next_field().await.map_err(|error| broken(&error, limit))? {
            if form.files.len() + form.fields.len() >= MAX_PARTS {
                return Err(Problem::new(Code::InvalidValue, format!("a form may have {MAX_PARTS} parts")));
            }
            form.add(field, limit).await?;
        }
        entry::arrived(api, &extensions)?;
        Ok(form)
    }
}

impl Form {
    async fn add(&mut self, mut field: Field<'_>, limit: usize) -> Result<(), Problem> {
        let name = field.name().unwrap_or_default().to_owned();
        let file = field.file_name().map(str::to_owned);
        let kind = field.content_type().map(str::to_owned);
        let mut bytes = Vec::new();
        while let Some(piece) = field.chunk().await.map_err(|error| broken(&error, limit))? {
            self.room.take(piece.len())?;
            bytes.extend_from_slice(&piece);
            if file.is_none() && bytes.len() > MAX_FIELD_BYTES {
                return Err(Problem::new(
                    Code::InvalidValue,
                    format!("{name}: a text field may have {MAX_FIELD_BYTES} bytes; send a file with a file name"),
                ));
            }
        }
        match file {
            Some(file) => self.files.push(File { name: file, kind, bytes }),
            None => {
                let text = String::from_utf8(bytes)
                    .map_err(|_| Problem::new(Code::InvalidValue, format!("{name}: a text field must be UTF-8")))?;
                self.fields.insert(name, text);
            }
        }
        Ok(())
    }
}

fn broken(error: &MultipartError, limit: usize) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large(limit);
    }
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::FileTooLarge) {
            return too_large(limit);
        }
        cause = error.source();
    }
    Problem::new(Code::BadRequest, "the form cannot be read, or it broke off; send it again")
}
