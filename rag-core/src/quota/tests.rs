use proptest::prelude::*;

use super::{
    grants::{LEASE, SLACK, Told, WINDOW, millis},
    *,
};
use crate::doubles::{RecordsDouble, SetClock};

/// How far the clocks of two replicas may be apart, and how long a request may be on its way, in milliseconds.
const APART: u64 = 5_000;
const ON_ITS_WAY: u64 = 5_000;

/// Something that happens, to one of the replicas, so many milliseconds after what happened before.
#[derive(Debug, Clone)]
enum Step {
    /// It has a request of so many tokens, which arrives so much later than it is sent.
    Send { tokens: u64, arrives: u64 },
    /// It ends and another one takes its place.
    Crash,
    /// It reaches the records, or does not.
    Cut(bool),
    /// The record is written, and the answer to that is lost.
    Lose,
}

/// All replicas, and the record that they share. Time is that of nobody: what the vendor sees.
struct World {
    limits: Limits,
    grants: Grants,
    replicas: Vec<Replica>,
    now: u64,
    /// When requests arrived, and their tokens.
    arrived: Vec<(u64, u64)>,
}

struct Replica {
    share: Share,
    /// By how much its clock is ahead.
    ahead: u64,
    is_cut: bool,
    loses: bool,
}

impl World {
    fn new(limits: Limits, ahead: &[u64]) -> Self {
        let replica = |ahead: &u64| {
            let share = Share::new(limits, Duration::ZERO);
            Replica { share, ahead: *ahead, is_cut: false, loses: false }
        };
        let replicas = ahead.iter().map(replica).collect();
        // Some time after the moment from which it counts.
        Self { limits, grants: Grants::default(), replicas, now: 0, arrived: Vec::new() }
    }

    fn step(&mut self, at: usize, step: &Step) {
        let steady = Duration::from_millis(self.now);
        let replica = &mut self.replicas[at];
        match *step {
            Step::Crash => {
                replica.share = Share::new(self.limits, steady);
            }
            Step::Cut(is_cut) => replica.is_cut = is_cut,
            Step::Lose => replica.loses = true,
            Step::Send { tokens, arrives } => {
                if self.sends(at, Amount::request(tokens)) {
                    self.arrived.push((self.now + arrives, tokens));
                }
            }
        }
    }

    /// What [`Quota::take`] does, with the record at hand.
    fn sends(&mut self, at: usize, need: Amount) -> bool {
        let (now, steady) = (self.now, Duration::from_millis(self.now));
        let replica = &mut self.replicas[at];
        let leave = match replica.share.take(need, steady) {
            Leave::Ask(_) if replica.is_cut => replica.share.unanswered(need, steady),
            Leave::Ask(want) => {
                let said = replica.share.ask(&mut self.grants, want, (now + replica.ahead, steady));
                match std::mem::take(&mut replica.loses) {
                    true => replica.share.unanswered(need, steady),
                    false => replica.share.answered(want, said, (steady, steady)),
                }
            }
            known => known,
        };
        leave == Leave::Granted
    }

    /// The most that arrived within a minute, whenever it began: requests and tokens.
    fn most(&mut self) -> (u64, u64) {
        self.arrived.sort_unstable();
        let within = |begin: u64| {
            let of = self.arrived.iter().filter(|(at, _)| (begin..begin + millis(WINDOW)).contains(at));
            of.fold((0, 0), |(requests, tokens), (_, more)| (requests + 1, tokens + more))
        };
        let windows: Vec<(u64, u64)> = self.arrived.iter().map(|(begin, _)| within(*begin)).collect();
        let most = |of: fn(&(u64, u64)) -> u64| windows.iter().map(of).max().unwrap_or(0);
        (most(|window| window.0), most(|window| window.1))
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (1_u64..400, 0..=ON_ITS_WAY).prop_map(|(tokens, arrives)| Step::Send { tokens, arrives }),
        1 => Just(Step::Crash),
        1 => any::<bool>().prop_map(Step::Cut),
        1 => Just(Step::Lose),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// In no minute do all replicas together send more than the quota, whatever crashes, whoever is cut off from the records, and whose clock is ahead by some seconds.
    #[test]
    fn within_no_minute_does_more_than_the_quota_arrive(
        requests in prop::option::of(1_u64..1_300),
        tokens in prop::option::of(100_u64..60_000),
        ahead in prop::collection::vec(0..=APART, 1..6),
        steps in prop::collection::vec((0_u64..4_000, 0_usize..6, 1_u64..12, step()), 1..250),
    ) {
        let limits = Limits { requests, tokens };
        let mut world = World::new(limits, &ahead);
        for (pause, at, times, step) in steps {
            world.now += pause;
            for _ in 0..times {
                world.step(at % ahead.len(), &step);
            }
            let entries = millis(WINDOW + LEASE + SLACK) + APART;
            prop_assert!(world.grants.len() as u64 <= entries / 1_000 + 2, "the record stays small: {}", world.grants.len());
        }
        let (most_requests, most_tokens) = world.most();
        prop_assert!(requests.is_none_or(|limit| most_requests <= limit), "{most_requests} of {requests:?} requests");
        prop_assert!(tokens.is_none_or(|limit| most_tokens <= limit), "{most_tokens} of {tokens:?} tokens");
    }
}

fn per_minute(requests: u64) -> Limits {
    Limits { requests: Some(requests), tokens: None }
}

/// How many requests of so many replicas that have one each `pause` milliseconds are sent within so many minutes.
fn sent(replicas: usize, limits: Limits, pause: u64, minutes: u64) -> Vec<u64> {
    let mut world = World::new(limits, &vec![0; replicas]);
    let mut sent = vec![0; replicas];
    while world.now < minutes * 60_000 {
        for (at, sent) in sent.iter_mut().enumerate() {
            *sent += u64::from(world.sends(at, Amount::request(1)));
        }
        world.now += pause;
    }
    sent
}

#[test]
fn a_quota_that_is_asked_for_without_a_pause_is_used_to_four_fifths() {
    for (replicas, quota) in [(1, 28), (20, 28), (3, 600), (20, 3_000)] {
        let sent: u64 = sent(replicas, per_minute(quota), 100, 15).iter().sum();
        assert!(sent * 10 >= quota * 15 * 7, "{sent} of {quota} a minute by {replicas}");
    }
}

#[test]
fn replicas_that_ask_seldom_are_not_handed_out_what_they_do_not_send() {
    // Together 200 of 300 a minute, so that nobody has to be refused.
    let sent: u64 = sent(20, per_minute(300), 6_000, 10).iter().sum();
    assert_eq!(sent, 2_000);
}

#[test]
fn a_replica_that_sends_much_asks_for_many_at_once() {
    let mut world = World::new(per_minute(6_000), &[0]);
    let mut asked = 0;
    for _ in 0..400 {
        asked += u32::from(matches!(world.replicas[0].share.take(Amount::request(1), Duration::ZERO), Leave::Ask(_)));
        assert!(world.sends(0, Amount::request(1)));
    }
    assert!(asked < 20, "it asked {asked} times for 400 requests");
}

/// A replica of a provider over these records.
fn quota(limits: Limits, records: &Arc<RecordsDouble>, clock: &Arc<SetClock>) -> Quota {
    Quota::new("vendor", limits, Arc::clone(records) as _, Arc::clone(clock) as _)
}

async fn granted(quota: &Quota) -> bool {
    quota.take(Amount::request(10), Duration::ZERO).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_replicas_that_ask_at_once_send_the_quota_and_no_more() {
    let (records, clock) = (Arc::<RecordsDouble>::default(), Arc::<SetClock>::default());
    let calls = (0..20).flat_map(|_| {
        let quota = Arc::new(quota(per_minute(28), &records, &clock));
        (0..3).map(move |_| {
            let quota = Arc::clone(&quota);
            tokio::spawn(async move { granted(&quota).await })
        })
    });
    let mut passed = 0;
    for call in calls.collect::<Vec<_>>() {
        passed += usize::from(call.await.unwrap());
    }
    assert_eq!(passed, 28);
}

#[tokio::test]
async fn who_is_refused_is_told_when_to_come_back_and_does_not_ask_the_records_before() {
    let (records, clock) = (Arc::<RecordsDouble>::default(), Arc::<SetClock>::default());
    let (one, other) = (quota(per_minute(1), &records, &clock), quota(per_minute(1), &records, &clock));
    assert!(granted(&one).await);
    let refused = other.take(Amount::request(10), Duration::ZERO).await.unwrap_err();
    let wait = WINDOW + LEASE + SLACK;
    assert_eq!((refused.clone(), other.wait()), (NotGranted::Used { retry_after: wait }, wait));
    let given = records.given();
    assert_eq!(other.take(Amount::request(10), Duration::ZERO).await, Err(refused));
    assert_eq!(records.given(), given, "it is known already");
    clock.advance(wait.try_into().unwrap());
    assert!(granted(&other).await && !granted(&one).await);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_can_wait_is_made_when_the_quota_allows_it_again() {
    /// Time that passes as the runtime's does.
    struct Runtime(tokio::time::Instant);
    impl Clock for Runtime {
        fn now(&self) -> jiff::Timestamp {
            jiff::Timestamp::UNIX_EPOCH + self.steady()
        }
        fn steady(&self) -> Duration {
            self.0.elapsed()
        }
    }
    let clock = Arc::new(Runtime(tokio::time::Instant::now()));
    let quota = Quota::new("vendor", per_minute(1), Arc::<RecordsDouble>::default(), Arc::clone(&clock) as _);
    assert!(granted(&quota).await);
    let impatient = quota.take(Amount::request(1), Duration::from_secs(70)).await;
    assert!(matches!(impatient, Err(NotGranted::Used { .. })), "{impatient:?}");
    assert_eq!(clock.steady(), Duration::ZERO, "who cannot wait so long does not wait at all");
    assert_eq!(quota.take(Amount::request(1), Duration::from_secs(80)).await, Ok(()));
    assert!(clock.steady() >= WINDOW, "{:?}", clock.steady());
}

#[tokio::test]
async fn while_the_records_do_not_answer_a_replica_sends_its_small_part_after_a_window_and_nothing_of_a_small_quota() {
    for (limit, part) in [(28, 0), (399, 0), (4_000, 10)] {
        let (records, clock) = (Arc::<RecordsDouble>::default(), Arc::<SetClock>::default());
        let quota = quota(per_minute(limit), &records, &clock);
        records.fail();
        let unknown = quota.take(Amount::request(1), Duration::from_secs(60)).await.unwrap_err();
        assert!(matches!(unknown, NotGranted::Unknown { .. }), "{unknown:?}");
        clock.advance((WINDOW + LEASE + SLACK).try_into().unwrap());
        let mut sent = 0;
        for _ in 0..limit {
            sent += u64::from(granted(&quota).await);
        }
        assert_eq!(sent, part, "of {limit}");
        records.die_after(i64::MAX);
        assert!(granted(&quota).await, "they answer again");
    }
}

#[tokio::test]
async fn what_the_vendor_says_is_left_is_divided_among_all_that_heard_that_it_is_little() {
    let (records, clock) = (Arc::<RecordsDouble>::default(), Arc::<SetClock>::default());
    let said = |remaining| {
        let requests = Some(ports::Window { remaining, resets_in: Some(Duration::from_secs(30)) });
        RateLimit { requests, ..RateLimit::default() }
    };
    let replicas = [(); 2].map(|()| quota(Limits::default(), &records, &clock));
    for replica in &replicas {
        assert!(granted(replica).await, "nothing is known of a limit");
        replica.heard(&said(500));
        assert!(granted(replica).await);
    }
    assert_eq!(records.count(Kind::Quota).await, Ok(0), "plenty needs no record");
    replicas.iter().for_each(|replica| replica.heard(&said(3)));
    let mut sent = 0;
    for _ in 0..5 {
        for replica in &replicas {
            sent += u32::from(granted(replica).await);
        }
    }
    assert_eq!(sent, 3);
    clock.advance(jiff::SignedDuration::from_secs(30));
    assert!(granted(&replicas[0]).await && granted(&replicas[1]).await, "the window is over");
}

#[tokio::test]
async fn a_refusal_by_the_vendor_is_known_to_all_replicas_until_it_is_over() {
    let (records, clock) = (Arc::<RecordsDouble>::default(), Arc::<SetClock>::default());
    let (one, other) = (quota(per_minute(100), &records, &clock), quota(per_minute(100), &records, &clock));
    assert!(granted(&one).await && granted(&other).await);
    // Somebody else uses the account.
    one.refused(&RateLimit { retry_after: Some(Duration::from_secs(20)), ..RateLimit::default() }).await;
    assert!(!granted(&one).await && !granted(&other).await);
    clock.advance(jiff::SignedDuration::from_secs(20));
    assert!(granted(&one).await && granted(&other).await);
}

#[tokio::test]
async fn what_was_handed_out_and_not_sent_in_time_is_lost() {
    let (records, clock) = (Arc::<RecordsDouble>::default(), Arc::<SetClock>::default());
    let quota = quota(per_minute(4_000), &records, &clock);
    // The more it sends the more it is handed out: the last one leaves some.
    for _ in 0..4 {
        assert!(granted(&quota).await);
    }
    let asked = records.given();
    clock.advance(LEASE.try_into().unwrap());
    assert!(granted(&quota).await);
    assert_eq!(records.given(), asked + 1, "it asks again");
}

#[tokio::test]
async fn what_was_handed_out_is_not_sent_if_the_answer_comes_too_late() {
    let (records, clock) = (Arc::<RecordsDouble>::default(), Arc::<SetClock>::default());
    let quota = quota(per_minute(4_000), &records, &clock);
    assert!(granted(&quota).await);
    records.linger();
    let late = async {
        clock.advance(LEASE.try_into().unwrap());
        records.answer();
    };
    let (is_granted, ()) = tokio::join!(granted(&quota), late);
    assert!(!is_granted);
}

#[test]
fn what_is_on_its_way_to_the_vendor_is_not_in_its_figure() {
    let (mut grants, limits) = (Grants::default(), per_minute(100));
    let want = |requests| {
        let amount = Amount { requests, tokens: 0 };
        Want { need: amount, wish: amount }
    };
    grants.hand_out(want(10), limits, 0).unwrap();
    grants.tell(Told { requests: Some(50), tokens: None, until: 60_000 }, limits, 1_000);
    assert!(grants.hand_out(want(41), limits, 1_000).is_err());
    assert!(grants.hand_out(want(40), limits, 1_000).is_ok());
}

#[tokio::test]
async fn who_needs_less_than_what_cannot_be_had_now_may_have_it() {
    let (records, clock) = (Arc::<RecordsDouble>::default(), Arc::<SetClock>::default());
    let limits = Limits { requests: None, tokens: Some(1_000) };
    let [one, other] = [(), ()].map(|()| quota(limits, &records, &clock));
    let takes = async |quota: &Quota, tokens| quota.take(Amount::request(tokens), Duration::ZERO).await.is_ok();
    assert!(takes(&one, 900).await && !takes(&other, 100).await);
    assert!(takes(&other, 10).await);
}
