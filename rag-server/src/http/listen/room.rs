//! Who is connected to one port: so many in all, so many from one address, and who has to go when there is no room.
//!
//! Guarantee: whoever is being answered is never sent away; whoever only holds a connection goes before a newcomer does, the longest-held one first.
//! Of HTTP/2 one connection brings many requests: what is answered at once is bounded as connections are, so that it is no way around them.
//! No socket: who is the longest-held is told by the order in which things happened.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::timeout};
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
    /// Requests that are being answered, and those of each address.
    answering: usize,
    by_address: HashMap<IpAddr, usize>,
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
    address: IpAddr,
    sent_away: CancellationToken,
    /// Requests of this connection that are being answered.
    busy: watch::Sender<usize>,
}

/// A request is being answered until this is dropped.
#[derive(Debug)]
pub(super) struct Answering {
    room: Arc<Room>,
    id: u64,
    address: IpAddr,
    busy: watch::Sender<usize>,
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
        let place = Place { room: Arc::clone(self), id, address, sent_away, busy: watch::Sender::new(0) };
        Ok((place, somebody_went))
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

    /// A request begins, unless as many are being answered already as there may be connections.
    pub(super) fn answer(&self) -> Result<Answering, Full> {
        let mut taken = self.room.taken();
        if taken.answering >= self.room.seats.all {
            return Err(Full::Port);
        }
        let own = taken.by_address.entry(self.address).or_default();
        if *own >= self.room.seats.each {
            return Err(Full::Address);
        }
        *own += 1;
        taken.answering += 1;
        if let Some(connection) = taken.connections.get_mut(&self.id) {
            connection.answering += 1;
        }
        drop(taken);
        self.busy.send_modify(|requests| *requests += 1);
        Ok(Answering { room: Arc::clone(&self.room), id: self.id, address: self.address, busy: self.busy.clone() })
    }

    /// Resolves once nothing was asked over this connection for so long.
    pub(super) async fn idle(&self, patience: Duration) {
        let mut busy = self.busy.subscribe();
        loop {
            // The sender is here, so that it cannot end.
            drop(busy.wait_for(|requests| *requests == 0).await);
            if timeout(patience, busy.changed()).await.is_err() {
                return;
            }
        }
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
        taken.answering -= 1;
        if let Entry::Occupied(mut own) = taken.by_address.entry(self.address) {
            *own.get_mut() -= 1;
            if *own.get() == 0 {
                own.remove();
            }
        }
        drop(taken);
        self.busy.send_modify(|requests| *requests -= 1);
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
        let answering = first.answer().unwrap();
        let fourth = enter().unwrap();
        assert_eq!([&first, &second, &third, &fourth].map(gone), [false, true, false, false]);
        // The first one's request ends now, so that it has been idle for less time than the third.
        drop(answering);
        let fifth = enter().unwrap();
        assert_eq!([&first, &third, &fourth, &fifth].map(gone), [false, true, false, false]);
        let _busy = [&first, &fourth, &fifth].map(|place| place.answer().unwrap());
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
        let _busy = [&greedy[1], &third].map(|place| place.answer().unwrap());
        assert_eq!(enter("10.0.0.1").map(|_| ()), Err(Full::Address));
        let _fourth = enter("10.0.0.3").unwrap();
        let _other_busy = other.answer().unwrap();
        let fifth = enter("10.0.0.4").unwrap();
        let fifth_busy = fifth.answer().unwrap();
        assert_eq!(enter("10.0.0.5").map(|_| ()), Err(Full::Port));
        drop((fifth, fifth_busy));
        assert!(enter("10.0.0.5").is_ok());
    }

    #[test]
    fn many_requests_over_one_connection_are_no_way_around_the_bounds() {
        let room = Room::new(Seats { all: 3, each: 2 });
        let enter = |from: &str| room.enter(ip(from)).unwrap().0;
        let (greedy, other, last) = (enter("10.0.0.1"), enter("10.0.0.2"), enter("10.0.0.3"));
        let first = greedy.answer().unwrap();
        let _second = greedy.answer().unwrap();
        assert_eq!(greedy.answer().map(drop), Err(Full::Address));
        let _others = other.answer().unwrap();
        assert_eq!(last.answer().map(drop), Err(Full::Port));
        drop(first);
        assert!(last.answer().is_ok());
        drop(greedy);
        assert_eq!(room.taken().by_address.len(), 2, "nothing is kept of an address that asks nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_from_the_end_of_its_last_request_on() {
        let patience = Duration::from_secs(60);
        let room = Room::new(Seats { all: 2, each: 2 });
        let (place, _) = room.enter(ip("10.0.0.1")).unwrap();
        let began = tokio::time::Instant::now();
        let asks = async {
            tokio::time::sleep(Duration::from_secs(59)).await;
            let (one, other) = (place.answer().unwrap(), place.answer().unwrap());
            tokio::time::sleep(Duration::from_secs(500)).await;
            drop(one);
            tokio::time::sleep(Duration::from_secs(100)).await;
            drop(other);
        };
        tokio::join!(place.idle(patience), asks);
        assert_eq!(began.elapsed().as_secs(), 59 + 500 + 100 + 60);
    }

    #[test]
    fn neighbours_of_one_ipv6_network_are_one_address() {
        let same = |one: &str, other: &str| address(ip(one)) == address(ip(other));
        assert!(same("2001:db8:0:1::1", "2001:db8:0:1:ffff::2") && same("::ffff:10.0.0.1", "10.0.0.1"));
        assert!(!same("2001:db8:0:1::1", "2001:db8:0:2::1") && !same("10.0.0.1", "10.0.0.2"));
    }
}
