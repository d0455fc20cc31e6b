//! Where Redis is, and how a connection to it is secured: an address, and the CA that its certificate is checked against.

use std::{fmt, path::Path};

use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisError, TlsCertificates};

use super::failure::{Cause, Failure};
use crate::outside::{self, NoCertificates};

/// The port where none is named.
const PORT: u16 = 6379;

/// Host and port, and whether the way there is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    host: String,
    port: u16,
    tls: bool,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Address {
    /// The parts of `redis://HOST:PORT`, or of `rediss://HOST:PORT`, which is encrypted.
    pub(super) fn parse(url: &str) -> Option<Self> {
        let uri = url.parse::<http::Uri>().ok()?;
        let tls = match uri.scheme_str()? {
            "redis" => false,
            "rediss" => true,
            _ => return None,
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let is_whole = matches!(uri.path(), "" | "/") && uri.query().is_none() && !host.is_empty();
        is_whole.then(|| Self { host: host.to_owned(), port: authority.port_u16().unwrap_or(PORT), tls })
    }

    /// What a connection to it begins with.
    pub(super) fn info(&self) -> Result<ConnectionInfo, RedisError> {
        let (host, port) = (self.host.clone(), self.port);
        if self.tls {
            // What is not verified is not connected to.
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }.into_connection_info()
        } else {
            ConnectionAddr::Tcp(host, port).into_connection_info()
        }
    }

    /// A client for such a connection. Its certificate must be by an authority of the file as it is now; where there is no such file, by one that the system trusts.
    pub(super) fn client(&self, info: ConnectionInfo, ca_file: Option<&Path>) -> Result<Client, Failure> {
        let Some(path) = ca_file.filter(|_| self.tls) else { return Ok(Client::open(info)?) };
        let wrong = |why: String| Failure::new(Cause::Tls, format!("its ca_file {} {why}", path.display()));
        let root_cert = match outside::certificates(path) {
            Ok(pem) => Some(pem),
            Err(NoCertificates::NoFile) => return Ok(Client::open(info)?),
            Err(error) => return Err(wrong(error.to_string())),
        };
        let trusted = TlsCertificates { client_tls: None, root_cert };
        Client::build_with_tls(info, trusted)
            .map_err(|error| wrong(format!("cannot be used: {}", outside::innermost(&error))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port_and_nothing_secret() {
        for (url, host, port, tls) in [
            ("redis://redis:6380", "redis", 6380, false),
            ("redis://redis", "redis", 6379, false),
            ("redis://127.0.0.1:1/", "127.0.0.1", 1, false),
            ("redis://[::1]:7", "::1", 7, false),
            ("rediss://redis.example.com", "redis.example.com", 6379, true),
            ("rediss://[::1]:7/", "::1", 7, true),
        ] {
            assert_eq!(Address::parse(url), Some(Address { host: host.to_owned(), port, tls }), "{url}");
        }
        for url in [
            "redis:6379",
            "http://redis",
            "redis://",
            "redis://:secret@redis",
            "rediss://:secret@redis",
            "redis://redis/1",
            "redis://r?a=b",
        ] {
            assert_eq!(Address::parse(url), None, "{url}");
        }
    }

    #[test]
    fn a_ca_file_that_holds_no_certificate_is_named_and_one_that_is_absent_leaves_the_system_s() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.crt");
        let address = Address::parse("rediss://redis").unwrap();
        let client = || address.client(address.info().unwrap(), Some(&path));
        assert!(client().is_ok(), "there is no such file");
        let not_a_file = address.client(address.info().unwrap(), Some(folder.path())).unwrap_err();
        assert_eq!(not_a_file.cause, Cause::Tls, "what is there and cannot be read is no reason to trust the system");
        for text in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&path, text).unwrap();
            let failure = client().unwrap_err();
            assert!(failure.cause == Cause::Tls && failure.to_string().contains("ca.crt"), "{text}: {failure}");
        }
    }
}
