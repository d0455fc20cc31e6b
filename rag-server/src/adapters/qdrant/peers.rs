//! The peers of one Qdrant: a channel for each, and in which order a call tries them.
//!
//! Guarantees: calls go round; a peer that failed is left alone for a while and then tried by one call at a time; when all are left alone they are tried all the same, so that leaving alone never fails a call.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::resilience::{BreakerPolicy, BreakerState, Guard, Pass, Verdict};

/// One failure is enough, since another peer answers meanwhile; five seconds are longer than a peer's restart takes to be noticed and shorter than anybody waits for its return.
const LEFT_ALONE: BreakerPolicy = BreakerPolicy { failures: 1, open: Duration::from_secs(5), successes: 1 };

/// A peer whose machine went away says nothing more; without these its connection would be kept for a quarter of an hour.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How long the answer to such a question may take.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Who is told how the peers are: a peer's name, where its breaker stands, and whether that is a change.
pub type PeerTold = Arc<dyn Fn(&str, BreakerState, bool) + Send + Sync>;

/// Which peers there are, and how they were lately.
pub(super) struct Peers {
    addresses: Vec<String>,
    /// One for each address; none where there is only one, which nothing replaces.
    guards: Vec<Arc<Guard>>,
    /// Where the next call begins.
    next: AtomicUsize,
}

impl Peers {
    /// The peers at these addresses, all of them trusted.
    pub(super) fn new(addresses: Vec<String>, told: &PeerTold) -> Self {
        let guard = |number: usize| {
            let told = Arc::clone(told);
            let told = Box::new(move |name: &str, state, changed| told(name, state, changed));
            Arc::new(Guard::new(format!("vector_store_peer_{number}"), LEFT_ALONE, told))
        };
        let guards = if addresses.len() > 1 { (1..=addresses.len()).map(guard).collect() } else { Vec::new() };
        Self { addresses, guards, next: AtomicUsize::new(0) }
    }

    /// Where the peer of this place is.
    pub(super) fn address(&self, at: usize) -> &str {
        self.addresses.get(at).map_or("", String::as_str)
    }

    /// The breakers of the peers, in the order of their addresses; none where there is only one peer.
    pub(super) fn guards(&self) -> &[Arc<Guard>] {
        &self.guards
    }

    /// The peers in the order in which one call tries them.
    pub(super) fn tour(&self) -> Tour<'_> {
        let count = self.addresses.len().max(1);
        let first = self.next.fetch_add(1, Ordering::Relaxed) % count;
        let trusted = (0..count).map(|step| (first + step) % count).collect();
        Tour { guards: &self.guards, trusted, resting: Vec::new() }
    }

    /// Channels to all of them. Nothing is sent before the first call over one.
    ///
    /// `trust` is the CA certificate that `https` peers show one of; without it those of the system count.
    pub(super) fn channels(&self, trust: Option<&[u8]>, connect_timeout: Duration) -> Result<Vec<Channel>, String> {
        self.addresses.iter().map(|address| channel(address, trust, connect_timeout)).collect()
    }
}

fn channel(address: &str, trust: Option<&[u8]>, connect_timeout: Duration) -> Result<Channel, String> {
    let wrong = |error: tonic::transport::Error| {
        let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        format!("no channel to {address} can be made: {cause}")
    };
    let endpoint = Endpoint::from_shared(address.to_owned())
        .map_err(wrong)?
        .connect_timeout(connect_timeout)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    if !address.starts_with("https://") {
        return Ok(endpoint.connect_lazy());
    }
    let tls = match trust {
        Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    Ok(endpoint.tls_config(tls).map_err(wrong)?.connect_lazy())
}

/// One call's way past the peers.
pub(super) struct Tour<'p> {
    guards: &'p [Arc<Guard>],
    trusted: VecDeque<usize>,
    /// Those that are left alone, with how long yet.
    resting: Vec<(Duration, usize)>,
}

/// One try of a call.
pub(super) struct Try<'p> {
    /// The peer's place among the addresses.
    pub(super) at: usize,
    pass: Option<Pass<'p>>,
}

impl<'p> Iterator for Tour<'p> {
    type Item = Try<'p>;

    /// The peer to try now; none when all were tried.
    fn next(&mut self) -> Option<Self::Item> {
        while let Some(at) = self.trusted.pop_front() {
            match self.guards.get(at).map(|guard| guard.admit()) {
                None => return Some(Try { at, pass: None }),
                Some(Ok(pass)) => return Some(Try { at, pass: Some(pass) }),
                Some(Err(wait)) => self.resting.push((wait, at)),
            }
        }
        // The one that has rested longest comes first.
        self.resting.sort_unstable_by(|one, other| other.cmp(one));
        self.resting.pop().map(|(_, at)| Try { at, pass: None })
    }
}

impl Tour<'_> {
    /// Whether a peer that is trusted is left, for which time should be left, too.
    pub(super) fn has_more(&self) -> bool {
        !self.trusted.is_empty()
    }
}

impl Try<'_> {
    /// Tells whether the peer answered, be it with a refusal.
    pub(super) fn judge(self, answered: bool) {
        if let Some(pass) = self.pass {
            pass.judge(if answered { Verdict::Success } else { Verdict::Failure });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(count: usize) -> Peers {
        let told: PeerTold = Arc::new(|_, _, _| {});
        Peers::new((0..count).map(|number| format!("http://q-{number}:6334")).collect(), &told)
    }

    /// Whom one call tries when none answers.
    fn all_fail(peers: &Peers) -> Vec<usize> {
        let fail = |tried: Try<'_>| {
            let at = tried.at;
            tried.judge(false);
            at
        };
        peers.tour().map(fail).collect()
    }

    fn first(peers: &Peers) -> usize {
        let first = peers.tour().next().unwrap();
        let at = first.at;
        first.judge(true);
        at
    }

    #[test]
    fn calls_go_round_all_peers() {
        let peers = peers(3);
        assert_eq!([first(&peers), first(&peers), first(&peers), first(&peers)], [0, 1, 2, 0]);
    }

    #[test]
    fn a_peer_that_failed_is_passed_over_and_tried_again_when_nobody_else_is_left() {
        let peers = peers(3);
        let mut tour = peers.tour();
        let failed = tour.next().unwrap();
        assert_eq!(failed.at, 0);
        failed.judge(false);
        assert_eq!([first(&peers), first(&peers), first(&peers), first(&peers)], [1, 2, 1, 1]);
        assert_eq!(all_fail(&peers).last(), Some(&0), "who is left alone comes last");
        assert_eq!(all_fail(&peers).len(), 3, "when all are left alone, all are tried all the same");
    }

    #[test]
    fn the_only_peer_is_never_left_alone() {
        let peers = peers(1);
        for _ in 0..3 {
            assert_eq!(all_fail(&peers), [0]);
        }
        assert!(peers.guards().is_empty());
    }
}
