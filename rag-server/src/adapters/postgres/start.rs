//! The first connection: is it a server that can keep records, what does it allow, and does its schema stand?

use futures::future::BoxFuture;
use sqlx::{PgConnection, Row, migrate::Migrator};

use super::{STORE, failure::Asked};
use crate::ports::StoreError;

/// The oldest server that knows all that is asked of it, as the protocol numbers it.
const OLDEST: u32 = 120_000;

/// Each change of the schema, in order. One server at a time makes them, under a lock of the database; the others wait and find them made.
static SCHEMA: Migrator = sqlx::migrate!("src/adapters/postgres/migrations");

/// What every server may have at most: more connections than this do not make one faster.
const MOST: u32 = 20;

/// How many connections there may be, as the server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Of all who are not superusers.
    server: u32,
    /// Of the user; none where there is no limit.
    user: Option<u32>,
    /// Of the database; none where there is no limit.
    database: Option<u32>,
}

impl Limits {
    /// Connections that the servers may have together.
    pub(super) fn all(self, reserved: u32) -> u32 {
        let least = [self.user, self.database].into_iter().flatten();
        least.fold(self.server.saturating_sub(reserved), u32::min)
    }

    /// Connections that one of so many servers may have.
    pub(super) fn share(self, reserved: u32, servers: u32) -> u32 {
        (self.all(reserved) / servers.max(1)).clamp(1, MOST)
    }
}

/// Looks at the server, and makes what is missing of the schema. Any number of servers may do so at once.
pub(super) fn prepare<'c>(
    connection: &'c mut PgConnection,
    asked: Asked<'c>,
) -> BoxFuture<'c, Result<Limits, StoreError>> {
    // In a box, because the compiler does not see of the client's generic future that a thread may hand it to another.
    Box::pin(look_and_migrate(connection, asked))
}

async fn look_and_migrate(connection: &mut PgConnection, asked: Asked<'_>) -> Result<Limits, StoreError> {
    let refused = |cause| Err(StoreError::Refused { store: STORE, cause });
    let version = connection.server_version_num();
    if version.is_some_and(|version| version < OLDEST) {
        let major = version.unwrap_or_default() / 10_000;
        return refused(format!("{} is a Postgres {major}; use 12 or newer", asked.address));
    }
    let row = sqlx::query(
        "SELECT current_setting('server_encoding') AS encoding, current_setting('fsync') = 'on' AS fsync,
            current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint
                - COALESCE(current_setting('reserved_connections', true), '0')::bigint AS server,
            (SELECT rolconnlimit::bigint FROM pg_roles WHERE rolname = current_user) AS of_user,
            (SELECT datconnlimit::bigint FROM pg_database WHERE datname = current_database()) AS of_database",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(|error| asked.failed(&error))?;
    let failed = |error: sqlx::Error| asked.failed(&error);
    let encoding: String = row.try_get("encoding").map_err(failed)?;
    if encoding != "UTF8" {
        return refused(format!("{} has the encoding {encoding}; use a database of UTF8", asked.address));
    }
    if !row.try_get::<bool, _>("fsync").map_err(failed)? {
        tracing::warn!(address = asked.address, "fsync is off there: a power loss takes back what was acknowledged");
    }
    // -1 where there is none.
    let limit = |name| {
        let found = row.try_get::<Option<i64>, _>(name).map_err(failed);
        found.map(|found| found.and_then(|found| u32::try_from(found).ok()))
    };
    let limits = Limits {
        server: limit("server")?.unwrap_or_default(),
        user: limit("of_user")?,
        database: limit("of_database")?,
    };
    SCHEMA.run_direct(None, connection, false).await.map_err(|error| asked.migration(&error))?;
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_its_part_of_what_is_left_at_least_one_and_at_most_twenty() {
        let limits = |server, user, database| Limits { server, user, database };
        let cases = [
            (limits(97, None, None), 10, 4, 20),
            (limits(97, None, None), 10, 21, 4),
            (limits(97, None, None), 97, 1, 1),
            (limits(97, None, None), 200, 1, 1),
            (limits(97, None, None), 10, 200, 1),
            (limits(500, Some(40), None), 10, 4, 10),
            (limits(500, Some(400), Some(9)), 10, 4, 2),
            (limits(0, None, None), 0, 0, 1),
        ];
        for (limits, reserved, servers, expected) in cases {
            assert_eq!(limits.share(reserved, servers), expected, "{limits:?} {reserved} {servers}");
        }
    }
}
