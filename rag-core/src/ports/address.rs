//! Where a service is, as far as strangers may know: how far away, and never its address.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Endings of names that are known inside a network alone.
const PRIVATE_NAMES: [&str; 6] = [".svc", ".cluster.local", ".local", ".internal", ".lan", ".home.arpa"];

/// How far away an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AddressClass {
    /// On this machine.
    Loopback,
    /// In a network of its owner's.
    Private,
    /// On the internet.
    Public,
}

impl AddressClass {
    /// Of the host in this URL, by its number or its name: no name is resolved. None where it has no host.
    pub fn of_url(url: &str) -> Option<Self> {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let host = match authority.strip_prefix('[') {
            Some(literal) => literal.split(']').next().unwrap_or_default(),
            None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
        };
        if host.is_empty() {
            return None;
        }
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        Some(host.parse::<IpAddr>().map_or_else(|_| Self::of_name(&name), Self::of_ip))
    }

    fn of_ip(ip: IpAddr) -> Self {
        let ip = ip.to_canonical();
        let is_private = match ip {
            IpAddr::V4(ip) => {
                let [a, b, ..] = ip.octets();
                // 100.64.0.0/10 is what providers and clusters use behind a shared address.
                ip.is_private() || ip.is_link_local() || (a == 100 && (64..128).contains(&b))
            }
            IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
        };
        match (ip.is_loopback(), is_private) {
            (true, _) => Self::Loopback,
            (false, true) => Self::Private,
            (false, false) => Self::Public,
        }
    }

    fn of_name(name: &str) -> Self {
        match name {
            "localhost" => Self::Loopback,
            name if name.ends_with(".localhost") => Self::Loopback,
            // A name of one label is found by the search list of a network.
            name if !name.contains('.') || PRIVATE_NAMES.iter().any(|end| name.ends_with(end)) => Self::Private,
            _ => Self::Public,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_classed_by_its_host_alone() {
        use AddressClass::{Loopback, Private, Public};
        for (url, class) in [
            ("http://127.0.0.1:6334", Some(Loopback)),
            ("http://[::1]:6334/v1", Some(Loopback)),
            ("http://[::ffff:127.0.0.1]", Some(Loopback)),
            ("http://localhost:8000/v1", Some(Loopback)),
            ("http://handbook-qdrant:6334", Some(Private)),
            ("http://handbook-qdrant.team-a.svc:6334", Some(Private)),
            ("http://llm.team-a.svc.cluster.local./v1", Some(Private)),
            ("https://10.1.2.3/v1", Some(Private)),
            ("https://100.64.0.1", Some(Private)),
            ("https://[fd00::1]:443", Some(Private)),
            ("https://api.example.com/v1", Some(Public)),
            ("https://user:127.0.0.1@api.example.com/v1", Some(Public)),
            ("https://8.8.8.8", Some(Public)),
            ("https://100.128.0.1", Some(Public)),
            ("https://[2001:db8::1]", Some(Public)),
            ("http://", None),
            ("", None),
        ] {
            assert_eq!(AddressClass::of_url(url), class, "{url}");
        }
    }
}
