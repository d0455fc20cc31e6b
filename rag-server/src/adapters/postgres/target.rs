//! Where the server is and who asks it, as the files of a folder say.
//!
//! A target says nothing of its user, its password and its certificates when it is printed.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    ConnectOptions,
    postgres::{PgConnectOptions, PgSslMode},
};

use super::STORE;
use crate::{
    key_file::{Key, NoKey},
    outside,
    ports::StoreError,
};

/// Where Postgres listens unless something else is said.
const PORT: u16 = 5432;

/// How this program is called in the server's list of its sessions.
const APPLICATION: &str = "rag-server";

/// Which server, and how it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresSettings {
    /// Folder with the files `username` and `password`; those of `host`, `port`, `database` and `ca.crt` are read where nothing else is said.
    pub dir: PathBuf,
    /// The host, instead of the file.
    pub host: Option<String>,
    /// The port, instead of the file; 5432 where there is neither.
    pub port: Option<u16>,
    /// The database, instead of the file.
    pub database: Option<String>,
    /// Whether the connection is encrypted and the server's certificate must be for the host.
    pub tls: bool,
    /// How many servers share the connections, at least 1.
    pub servers: u32,
    /// Connections that are left to others.
    pub reserved: u32,
    /// Each call ends by then.
    pub deadline: Duration,
}

/// Where the server is, and who asks it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Target {
    host: String,
    port: u16,
    database: String,
    user: Key,
    password: Key,
    /// Certificates in PEM of the authorities that are trusted besides those of the web.
    ca: Option<Vec<u8>>,
    tls: bool,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.address())
    }
}

impl Target {
    /// What the settings and the files say now.
    pub(super) fn read(settings: &PostgresSettings) -> Result<Self, StoreError> {
        let dir = &settings.dir;
        let text = |said: &Option<String>, file: &str| match said {
            Some(said) => Ok(said.clone()),
            None => key(&dir.join(file)).map(|key| key.expose().to_owned()),
        };
        Ok(Self {
            host: text(&settings.host, "host")?,
            port: settings.port.map_or_else(|| port(&dir.join("port")), Ok)?,
            database: text(&settings.database, "database")?,
            user: key(&dir.join("username"))?,
            password: key(&dir.join("password"))?,
            ca: if settings.tls { certificates(&dir.join("ca.crt"))? } else { None },
            tls: settings.tls,
        })
    }

    /// Host, port and database, for messages.
    pub(super) fn address(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.database)
    }

    /// What a connection is opened with. Whatever the role or the database are set to, a write is durable when it returns, and no statement works for longer than `deadline`.
    pub(super) fn options(&self, deadline: Duration) -> PgConnectOptions {
        let millis = deadline.as_millis().to_string();
        let options = PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .database(&self.database)
            .username(self.user.expose())
            .password(self.password.expose())
            .ssl_mode(if self.tls { PgSslMode::VerifyFull } else { PgSslMode::Disable })
            .application_name(APPLICATION)
            .options([
                ("statement_timeout", millis.as_str()),
                ("idle_in_transaction_session_timeout", millis.as_str()),
                ("synchronous_commit", "on"),
                ("default_transaction_isolation", "read committed"),
            ])
            .disable_statement_logging();
        match &self.ca {
            Some(ca) => options.ssl_root_cert_from_pem(ca.clone()),
            None => options,
        }
    }
}

fn key(path: &Path) -> Result<Key, StoreError> {
    Key::read(path).map_err(|cause| StoreError::NoKey { store: STORE, cause })
}

fn port(path: &Path) -> Result<u16, StoreError> {
    if !path.exists() {
        return Ok(PORT);
    }
    let cause = || format!("{} does not hold a port, a number from 1 to 65535", path.display());
    match key(path)?.expose().parse() {
        Ok(0) | Err(_) => Err(StoreError::Refused { store: STORE, cause: cause() }),
        Ok(port) => Ok(port),
    }
}

/// The certificates of this file, if it is there.
fn certificates(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let unreadable = |error: io::Error| StoreError::NoKey {
        store: STORE,
        cause: NoKey::Unreadable { path: path.display().to_string(), cause: error.to_string() },
    };
    match outside::read_pem(path) {
        Ok(pem) => Ok(Some(pem)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn settings(dir: &Path) -> PostgresSettings {
        PostgresSettings {
            dir: dir.to_owned(),
            host: None,
            port: None,
            database: None,
            tls: true,
            servers: 1,
            reserved: 0,
            deadline: Duration::from_secs(3),
        }
    }

    const ALL: [(&str, &str); 4] =
        [("host", "db.example\n"), ("database", "handbook\n"), ("username", "rag\n"), ("password", "s3cret\n")];

    #[test]
    fn what_the_settings_say_goes_before_the_files_and_a_port_may_be_missing() {
        let folder = folder(&ALL);
        let settings = settings(folder.path());
        assert_eq!(Target::read(&settings).unwrap().address(), "db.example:5432/handbook");
        std::fs::write(folder.path().join("port"), "6543\n").unwrap();
        assert_eq!(Target::read(&settings).unwrap().address(), "db.example:6543/handbook");
        let said = PostgresSettings {
            host: Some("other".to_owned()),
            port: Some(1),
            database: Some("d".to_owned()),
            ..settings
        };
        assert_eq!(Target::read(&said).unwrap().address(), "other:1/d");
    }

    #[test]
    fn a_target_prints_no_credential_and_what_is_missing_is_named() {
        let folder = folder(&ALL);
        let settings = settings(folder.path());
        let printed = format!("{:?}", Target::read(&settings).unwrap());
        assert!(!printed.contains("s3cret") && !printed.contains("rag"), "{printed}");
        for name in ["host", "database", "username", "password"] {
            let path = folder.path().join(name);
            let text = std::fs::read(&path).unwrap();
            std::fs::remove_file(&path).unwrap();
            let error = Target::read(&settings).unwrap_err().to_string();
            assert!(error.contains(&path.display().to_string()), "{error}");
            std::fs::write(&path, text).unwrap();
        }
        for port in ["0", "65536", "five"] {
            std::fs::write(folder.path().join("port"), port).unwrap();
            let error = Target::read(&settings).unwrap_err().to_string();
            assert!(error.contains("from 1 to 65535"), "{error}");
        }
    }
}
