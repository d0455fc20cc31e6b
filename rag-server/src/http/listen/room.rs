//! Who is connected to one port: so many in all, so many from one address, and who has to go when there is no room.
//!
//! Guarantee: whoever is being answered is never sent away; whoever only holds a connection goes before a newcomer does, the longest-held one first.
//! No socket and no clock: what is old is told by the order in which it happened.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seats {
    /// In all.
    pub(super) all: usize,
    /// From one address.
    pub(super) each: usize,
}

/// Why there is no room for a newcomer: everybody who is there is being answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// The port.
    Port,
    /// What one address may have of it.
    Address,
}

/// The connections of one port.
#[derive(Debug)]
pub(super) struct Room {
    seats: Seats,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Grows with everything that happens.
    now: u64,
    connections: BTreeMap<u64, Connection>,
}

#[derive(Debug)]
struct Connection {
    address: IpAddr,
    /// Requests that are being answered.
    answering: usize,
    idle_since: u64,
    sent_away: CancellationToken,
}

/// A place of one connection; it is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<Room>,
    id: u64,
    sent_away: CancellationToken,
}

/// A request is being answered until this is dropped.
#[derive(Debug)]
pub(super) struct Answering {
    room: Arc<Room>,
    id: u64,
}

impl Room {
    pub(super) fn new(seats: Seats) -> Arc<Self> {
        Arc::new(Self { seats, taken: Mutex::default() })
    }

    /// A place for a newcomer, if need be that of somebody who only holds one; and whether somebody had to go.
    pub(super) fn enter(self: &Arc<Self>, ip: IpAddr) -> Result<(Place, bool), Full> {
        let (address, mut taken) = (address(ip), self.taken());
        let own = taken.connections.values().filter(|other| other.address == address).count();
        let mut somebody_went = false;
        if own >= self.seats.each {
            somebody_went = taken.send_away(|other| other.address == address).then_some(true).ok_or(Full::Address)?;
        } else if taken.connections.len() >= self.seats.all {
            somebody_went = taken.send_away(|_| true).then_some(true).ok_or(Full::Port)?;
        }
        let (id, sent_away) = (taken.tick(), CancellationToken::new());
        let connection = Connection { address, answering: 0, idle_since: id, sent_away: sent_away.clone() };
        taken.connections.insert(id, connection);
        Ok((Place { room: Arc::clone(self), id, sent_away }, somebody_went))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    /// Takes the place of the one among these that has held it idle for the longest; whether there is one.
    fn send_away(&mut self, among: impl Fn(&Connection) -> bool) -> bool {
        let idle = self.connections.iter().filter(|(_, other)| other.answering == 0 && among(other));
        let Some((&id, _)) = idle.min_by_key(|(_, other)| other.idle_since) else { return false };
        if let Some(connection) = self.connections.remove(&id) {
            connection.sent_away.cancel();
        }
        true
    }
}

impl Place {
    /// Resolves when a newcomer was given this place.
    pub(super) fn sent_away(&self) -> WaitForCancellationFuture<'_> {
        self.sent_away.cancelled()
    }

    /// A request begins.
    pub(super) fn answer(&self) -> Answering {
        if let Some(connection) = self.room.taken().connections.get_mut(&self.id) {
            connection.answering += 1;
        }
        Answering { room: Arc::clone(&self.room), id: self.id }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.taken().connections.remove(&self.id);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        let now = taken.tick();
        if let Some(connection) = taken.connections.get_mut(&self.id) {
            connection.answering -= 1;
            connection.idle_since = now;
        }
    }
}

/// What counts as one address: of IPv6 the first half, which is the least that anybody is given.
fn address(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn gone(place: &Place) -> bool {
        place.sent_away().now_or_never().is_some()
    }

    #[test]
    fn the_longest_idle_one_goes_and_nobody_who_is_being_answered() {
        let room = Room::new(Seats { all: 3, each: 3 });
        let enter = || room.enter(ip("10.0.0.1")).map(|(place, _)| place);
        let (first, second, third) = (enter().unwrap(), enter().unwrap(), enter().unwrap());
        let answering = first.answer();
        let fourth = enter().unwrap();
        assert_eq!([&first, &second, &third, &fourth].map(gone), [false, true, false, false]);
        // The first one's request ends now, so that it has been idle for less time than the third.
        drop(answering);
        let fifth = enter().unwrap();
        assert_eq!([&first, &third, &fourth, &fifth].map(gone), [false, true, false, false]);
        let _busy = [&first, &fourth, &fifth].map(Place::answer);
        assert_eq!(enter().map(|_| ()), Err(Full::Address));
    }

    #[test]
    fn one_address_never_takes_the_room_of_the_others() {
        let room = Room::new(Seats { all: 4, each: 2 });
        let enter = |from: &str| room.enter(ip(from)).map(|(place, _)| place);
        let greedy = [enter("10.0.0.1").unwrap(), enter("10.0.0.1").unwrap()];
        let other = enter("10.0.0.2").unwrap();
        let third = enter("10.0.0.1").unwrap();
        assert_eq!([&greedy[0], &greedy[1], &other].map(gone), [true, false, false]);
        let _busy = [&greedy[1], &third].map(Place::answer);
        assert_eq!(enter("10.0.0.1").map(|_| ()), Err(Full::Address));
        let _fourth = enter("10.0.0.3").unwrap();
        let _busy = other.answer();
        let fifth = enter("10.0.0.4").unwrap();
        let _busy = fifth.answer();
        assert_eq!(enter("10.0.0.5").map(|_| ()), Err(Full::Port));
        drop(fifth);
        assert!(enter("10.0.0.5").is_ok());
    }

    #[test]
    fn neighbours_of_one_ipv6_network_are_one_address() {
        let same = |one: &str, other: &str| address(ip(one)) == address(ip(other));
        assert!(same("2001:db8:0:1::1", "2001:db8:0:1:ffff::2") && same("::ffff:10.0.0.1", "10.0.0.1"));
        assert!(!same("2001:db8:0:1::1", "2001:db8:0:2::1") && !same("10.0.0.1", "10.0.0.2"));
    }
}
