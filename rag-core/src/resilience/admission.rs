//! Who is let in: so many requests of each class, so many bytes that all their bodies may hold together, and one evaluation.
//!
//! Nobody waits here. Whoever finds no room is told when to come back, so that a queue never hides an overload. Each class has places of its own: what fills one leaves the others as they are.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What kind of work a request is; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Questions, until their answer begins.
    Questions,
    /// Answers that are sent while they are written.
    Streams,
    /// Documents that come and go.
    Ingests,
    /// Texts to compute something of, once.
    Texts,
    /// What is read from the records: listings, jobs, sessions, feedback.
    Records,
    /// What whoever looks after the server asks.
    Admin,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 6] = [Self::Questions, Self::Streams, Self::Ingests, Self::Texts, Self::Records, Self::Admin];

    /// The name, as a metric label and in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Questions => "questions",
            Self::Streams => "streams",
            Self::Ingests => "ingests",
            Self::Texts => "texts",
            Self::Records => "records",
            Self::Admin => "admin",
        }
    }
}

/// How many places each class has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// See [`Class::Questions`].
    pub questions: usize,
    /// See [`Class::Streams`].
    pub streams: usize,
    /// See [`Class::Ingests`].
    pub ingests: usize,
    /// See [`Class::Texts`].
    pub texts: usize,
    /// See [`Class::Records`].
    pub records: usize,
    /// See [`Class::Admin`].
    pub admin: usize,
}

impl Places {
    fn of(self, class: Class) -> usize {
        match class {
            Class::Questions => self.questions,
            Class::Streams => self.streams,
            Class::Ingests => self.ingests,
            Class::Texts => self.texts,
            Class::Records => self.records,
            Class::Admin => self.admin,
        }
    }
}

/// What a body brings. Each kind has room of its own, so that whoever may only read never keeps documents out, and nobody who sends much keeps questions out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bodies {
    /// Documents, which come to stay.
    Documents,
    /// Texts to compute something of, once.
    Texts,
    /// Questions, and other bodies that are small.
    Questions,
}

/// Bytes that all bodies of questions may hold: those of 256 questions of the largest kind, or of 64 conversations of the largest kind.
const QUESTION_BYTES: usize = 16 << 20;

/// How long a place is taken for before anything is known of it.
const FIRST_GUESS: Duration = Duration::from_secs(1);

/// A client is told to come back after so many seconds at most: what it waits for may be over at any moment.
const MAX_RETRY_SECONDS: u64 = 30;

/// How much one request says of how long the next ones will take: an eighth, so that one that hung says little.
const WEIGHT: u64 = 8;

/// Room for requests and for their bodies; cheap to clone.
#[derive(Debug, Clone)]
pub struct Admission {
    classes: Arc<[Held; Class::ALL.len()]>,
    arriving: Arc<AtomicUsize>,
    documents: Arc<Semaphore>,
    texts: Arc<Semaphore>,
    questions: Arc<Semaphore>,
    evaluations: Arc<Semaphore>,
}

/// The places of one class.
#[derive(Debug)]
struct Held {
    places: usize,
    free: Arc<Semaphore>,
    /// For how long a place is taken, on average.
    micros: AtomicU64,
}

impl Held {
    fn new(places: usize) -> Self {
        let places = places.min(Semaphore::MAX_PERMITS);
        Self { places, free: Arc::new(Semaphore::new(places)), micros: AtomicU64::new(micros(FIRST_GUESS)) }
    }

    fn learn(&self, took: Duration) {
        let mean = |mean: u64| Some((mean.saturating_mul(WEIGHT - 1).saturating_add(micros(took))) / WEIGHT);
        // It always has a new value.
        let _before = self.micros.fetch_update(Relaxed, Relaxed, mean);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Room for bytes, or for an evaluation; it is given back when this is dropped.
#[derive(Debug)]
pub struct Permit(OwnedSemaphorePermit);

impl Permit {
    /// Holds more room of the same kind.
    pub fn join(&mut self, more: Self) {
        self.0.merge(more.0);
    }
}

/// A request's place in its class; it is given back when this is dropped.
#[derive(Debug)]
pub struct Place {
    admission: Admission,
    class: Class,
    since: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission.held(self.class).learn(self.since.elapsed());
    }
}

/// A request of which the body has yet to come, until this is dropped.
#[derive(Debug)]
pub struct Arriving(Arc<AtomicUsize>);

impl Drop for Arriving {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// No place is free in a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// The class.
    pub class: Class,
    /// Seconds after which another try may succeed: for as long as a place of this class is taken on average, 1 to 30.
    pub retry_after: u64,
}

impl Admission {
    /// Places for requests, and room for bodies of this many bytes; for those of texts half as many.
    pub fn new(places: Places, body_bytes: usize) -> Self {
        let room = |wanted: usize| Arc::new(Semaphore::new(wanted.min(Semaphore::MAX_PERMITS)));
        Self {
            classes: Arc::new(Class::ALL.map(|class| Held::new(places.of(class)))),
            arriving: Arc::default(),
            documents: room(body_bytes),
            texts: room(body_bytes / 2),
            questions: room(QUESTION_BYTES),
            evaluations: room(1),
        }
    }

    fn held(&self, class: Class) -> &Held {
        // The order of a closed set is that of its list.
        &self.classes[class as usize]
    }

    /// A place for one request, if there is any.
    pub fn enter(&self, class: Class) -> Result<Place, Full> {
        match Arc::clone(&self.held(class).free).try_acquire_owned() {
            Ok(permit) => Ok(Place { admission: self.clone(), class, since: Instant::now(), _permit: permit }),
            Err(_) => Err(self.full(class)),
        }
    }

    /// Says so while every place of a class is taken, without taking one.
    pub fn may_enter(&self, class: Class) -> Result<(), Full> {
        if self.held(class).free.available_permits() > 0 { Ok(()) } else { Err(self.full(class)) }
    }

    fn full(&self, class: Class) -> Full {
        let seconds = self.held(class).micros.load(Relaxed).div_ceil(1_000_000);
        Full { class, retry_after: seconds.clamp(1, MAX_RETRY_SECONDS) }
    }

    /// How many places a class has.
    pub fn places(&self, class: Class) -> usize {
        self.held(class).places
    }

    /// How many places of a class are taken now.
    pub fn taken(&self, class: Class) -> usize {
        let held = self.held(class);
        held.places - held.free.available_permits()
    }

    /// Requests that have a place now, whatever their class.
    pub fn in_flight(&self) -> usize {
        Class::ALL.into_iter().map(|class| self.taken(class)).sum()
    }

    /// Counts a request of which the body has yet to come. It has no place: a client that sends nothing would hold it.
    pub fn arrive(&self) -> Arriving {
        self.arriving.fetch_add(1, Relaxed);
        Arriving(Arc::clone(&self.arriving))
    }

    /// Requests of which the body has yet to come.
    pub fn arriving(&self) -> usize {
        self.arriving.load(Relaxed)
    }

    /// Room for an evaluation, which asks question after question: two at once would crowd out people.
    pub fn evaluation(&self) -> Option<Permit> {
        Arc::clone(&self.evaluations).try_acquire_owned().ok().map(Permit)
    }

    /// Room for so many bytes of a body, if there is any.
    pub fn body(&self, kind: Bodies, bytes: usize) -> Option<Permit> {
        let bytes = u32::try_from(bytes).ok()?;
        Arc::clone(self.bodies(kind)).try_acquire_many_owned(bytes).ok().map(Permit)
    }

    /// Bytes of such bodies for which there is room now.
    pub fn free(&self, kind: Bodies) -> usize {
        self.bodies(kind).available_permits()
    }

    fn bodies(&self, kind: Bodies) -> &Arc<Semaphore> {
        match kind {
            Bodies::Documents => &self.documents,
            Bodies::Texts => &self.texts,
            Bodies::Questions => &self.questions,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE_OF_EACH: Places = Places { questions: 1, streams: 1, ingests: 1, texts: 1, records: 1, admin: 1 };

    #[test]
    fn what_fills_one_class_leaves_every_other_as_it_is() {
        for full in Class::ALL {
            let admission = Admission::new(ONE_OF_EACH, 10);
            let place = admission.enter(full).unwrap();
            assert_eq!((admission.taken(full), admission.in_flight()), (1, 1));
            for class in Class::ALL {
                let refused = admission.enter(class).map(drop).map_err(|full| full.class);
                assert_eq!(refused, if class == full { Err(class) } else { Ok(()) }, "{class:?} beside {full:?}");
                assert_eq!(admission.may_enter(class).is_err(), class == full);
            }
            drop(place);
            assert_eq!((admission.in_flight(), admission.enter(full).is_ok()), (0, true));
        }
    }

    #[test]
    fn every_class_has_the_places_of_its_own_name() {
        let places = Places { questions: 1, streams: 2, ingests: 3, texts: 4, records: 5, admin: 6 };
        let admission = Admission::new(places, 10);
        assert_eq!(Class::ALL.map(|class| admission.places(class)), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_refused_client_is_told_how_long_a_place_of_its_class_is_taken_and_never_more_than_half_a_minute() {
        let admission = Admission::new(ONE_OF_EACH, 10);
        let _places = Class::ALL.map(|class| admission.enter(class).unwrap());
        let told = |class| admission.enter(class).unwrap_err().retry_after;
        let takes = |class, took| (0..100).for_each(|_| admission.held(class).learn(took));
        assert_eq!(told(Class::Streams), 1);
        takes(Class::Streams, Duration::from_millis(6500));
        takes(Class::Questions, Duration::from_millis(3));
        takes(Class::Texts, Duration::from_secs(900));
        assert_eq!([Class::Questions, Class::Streams, Class::Texts].map(told), [1, 7, 30]);
        // One that hung says little of the others.
        admission.held(Class::Questions).learn(Duration::from_secs(4));
        assert_eq!(told(Class::Questions), 1);
    }

    #[test]
    fn a_request_that_has_yet_to_come_has_no_place() {
        let admission = Admission::new(ONE_OF_EACH, 10);
        let arriving = admission.arrive();
        assert_eq!((admission.arriving(), admission.in_flight()), (1, 0));
        drop(arriving);
        assert_eq!(admission.arriving(), 0);
    }

    #[test]
    fn room_for_bodies_is_bounded_and_comes_back() {
        let admission = Admission::new(ONE_OF_EACH, 10);
        let mut body = admission.body(Bodies::Documents, 5).unwrap();
        body.join(admission.body(Bodies::Documents, 2).unwrap());
        assert_eq!(admission.free(Bodies::Documents), 3);
        assert!(admission.body(Bodies::Documents, 4).is_none());
        assert!(admission.body(Bodies::Documents, 3).is_some());
        drop(body);
        assert!(admission.body(Bodies::Documents, 10).is_some());
        assert!(admission.body(Bodies::Documents, 11).is_none());
    }

    #[test]
    fn each_kind_of_body_leaves_the_others_their_room() {
        let admission = Admission::new(ONE_OF_EACH, 10);
        let texts = admission.body(Bodies::Texts, 5);
        assert!(texts.is_some() && admission.body(Bodies::Texts, 1).is_none());
        let documents = admission.body(Bodies::Documents, 10);
        assert!(documents.is_some() && admission.body(Bodies::Questions, 1 << 20).is_some());
        drop(texts);
        assert!(admission.body(Bodies::Texts, 5).is_some());
    }
}
