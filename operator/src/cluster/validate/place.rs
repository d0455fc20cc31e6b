//! Where an address leads, as far as a NetworkPolicy can tell it.

use http::Uri;

/// Where an address leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// To a Service of this namespace. Policies are enforced on the way to its pods, whose port the address does not tell.
    Namespace(String),
    /// To this port, wherever the host is.
    Port(u16),
}

/// The place of a URL. A host without a dot is a Service of the RagCluster's own namespace.
pub(crate) fn place_of(url: &str, own_namespace: &str) -> Option<Place> {
    let port = port_of(url)?;
    let url: Uri = url.parse().ok()?;
    let host = url.host()?.trim_end_matches('.').to_ascii_lowercase();
    let labels: Vec<&str> = host.split('.').collect();
    let namespace = match labels.as_slice() {
        ["localhost"] => None,
        [name] => is_label(name).then_some(own_namespace),
        [.., _, namespace, "svc"] | [.., _, namespace, "svc", "cluster", "local"] => Some(*namespace),
        _ => None,
    };
    let namespace = namespace.filter(|namespace| is_label(namespace));
    Some(namespace.map_or(Place::Port(port), |namespace| Place::Namespace(namespace.to_owned())))
}

/// Whether it can be the name of a Service or a namespace; an address of IPv6 cannot.
fn is_label(name: &str) -> bool {
    let is_inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(is_inside) && !name.starts_with('-') && !name.ends_with('-')
}

/// The port of a URL; a scheme's own port where it names none. What has none, the servers would refuse, too.
fn port_of(url: &str) -> Option<u16> {
    let url: Uri = url.parse().ok()?;
    let default = match url.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        Some("redis" | "rediss") => 6379,
        _ => return None,
    };
    let authority = url.authority().filter(|authority| !authority.host().is_empty())?;
    match authority.as_str().strip_prefix(authority.host())? {
        "" => Some(default),
        port => port.strip_prefix(':')?.parse().ok().filter(|port| *port != 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_gives_its_port() {
        for (url, port) in [
            ("https://qdrant.example.com:6334", Some(6334)),
            ("https://qdrant.example.com/", Some(443)),
            ("http://qdrant", Some(80)),
            ("http://[::1]:6334", Some(6334)),
            ("http://[::1]", Some(80)),
            ("https://api.example.com/v1", Some(443)),
            ("http://llm.rag.svc:8000/v1/", Some(8000)),
            ("redis://redis", Some(6379)),
            ("redis://redis.example.com:6380/", Some(6380)),
            ("rediss://redis", Some(6379)),
            ("https:///v1", None),
            ("https://:6334", None),
            ("https://host:0", None),
            ("https://host:70000", None),
            ("ftp://host", None),
            ("host:6334", None),
            ("https://user:secret@host", None),
            ("https://host:443:443", None),
            ("http://[::1", None),
            ("https://ho{st}/v1", None),
            ("https://h\u{f6}st/v1", None),
        ] {
            assert_eq!(port_of(url), port, "{url}");
        }
    }

    #[test]
    fn a_service_of_a_namespace_is_told_from_a_host_outside() {
        let namespace = |name: &str| Some(Place::Namespace(name.to_owned()));
        for (url, place) in [
            ("http://tei/v1", namespace("team-a")),
            ("http://tei:8080/v1", namespace("team-a")),
            ("http://tei.rag.svc/v1", namespace("rag")),
            ("http://TEI.rag.SVC/v1", namespace("rag")),
            ("http://tei.rag.svc.cluster.local:80/v1", namespace("rag")),
            ("http://tei.rag.svc.cluster.local.:80/v1", namespace("rag")),
            ("http://qdrant-0.qdrant.rag.svc:6334", namespace("rag")),
            ("https://api.example.com/v1", Some(Place::Port(443))),
            // As likely a host outside as a Service of the namespace `rag`.
            ("http://tei.rag:8080", Some(Place::Port(8080))),
            ("https://api.rag.svc.example.com", Some(Place::Port(443))),
            ("http://rag.svc", Some(Place::Port(80))),
            ("http://10.0.0.1:8000", Some(Place::Port(8000))),
            ("http://[::1]:6334", Some(Place::Port(6334))),
            ("http://localhost:8000", Some(Place::Port(8000))),
            ("ftp://tei", None),
        ] {
            assert_eq!(place_of(url, "team-a"), place, "{url}");
        }
    }
}
