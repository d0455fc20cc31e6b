//! Procedures of one cluster side by side: observations that lag, crashes at every place of a pass, clocks that jump both ways,
//! windows that open and close, and in the end time enough. After each action the sentences of `World` hold.

use super::{Crash, Mark, crash, states, time};
use crate::api::steps::{StepState, StepStatus};
use crate::steps::{
    Advance, Answer, At, Disruption, Look, Pause, Priority, Procedure, Standing, Step, Turn, Window, advance, next,
};
use jiff::{SignedDuration, Timestamp};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::sample::select;

/// No run lasts this long: whatever fails by its deadline was made to by a clock.
const DEADLINE: SignedDuration = SignedDuration::from_hours(24);

/// How one step goes.
#[derive(Clone, Debug)]
struct Plan {
    /// Absent: it only waits.
    disruption: Option<Disruption>,
    /// How long it takes: half minutes of a wait, moments of an effect.
    work: u8,
    /// Whether it takes two effects, one after the other.
    is_in_two: bool,
    fails: bool,
    cleans_up: bool,
}

impl Plan {
    fn disrupts(&self) -> bool {
        self.disruption.is_some_and(|disruption| disruption != Disruption::None)
    }
}

/// What there is of one step in the world.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Thing {
    Nothing,
    Half,
    UnderWay(u8),
    Finished,
    Broken,
}

impl Thing {
    fn is_under_way(self) -> bool {
        matches!(self, Thing::Half | Thing::UnderWay(_))
    }
}

/// What a procedure sees.
#[derive(Clone, Debug)]
struct Seen {
    things: Vec<Thing>,
    /// Somebody asks it to wait.
    is_held: bool,
}

#[derive(Clone, Debug)]
enum Action {
    Pass(usize, Crash),
    /// The world goes on, for so many seconds.
    Tick(i64),
    /// The clock jumps, and nothing happens.
    Jump(i64),
    Window(bool),
    Hold(usize, bool),
    /// What a procedure sees catches up with the world.
    Show(usize),
    /// What a step made that is recorded as done goes away again.
    Forget(usize),
    Restart,
}

/// One procedure, and what is known of it where.
struct Run {
    procedure: Procedure<Seen, Mark>,
    plans: Vec<Plan>,
    world: Seen,
    shown: Seen,
    record: Vec<StepStatus>,
}

fn place_of(effect: &Mark) -> (usize, usize) {
    let (place, part) = effect.0.split_once('/').unwrap();
    (place.parse().unwrap(), part.parse().unwrap())
}

fn step(place: usize, plan: &Plan) -> Step<Seen, Mark> {
    let name = format!("step {place}");
    let Some(disruption) = plan.disruption else {
        let enough = SignedDuration::from_secs(30) * i32::from(plan.work);
        let look = move |_: &Seen, at: &At| {
            if at.elapsed >= enough {
                Look::Done("waited".to_owned())
            } else {
                Look::Wait(Pause::until("a wait", at.since + enough))
            }
        };
        return Step::wait(&name, Some(DEADLINE), look);
    };
    let look = move |seen: &Seen, _: &At| match seen.things[place] {
        Thing::Nothing if seen.is_held => Look::Wait(Pause::for_change("held")),
        Thing::Nothing => Look::Begin(Mark(format!("{place}/1"))),
        Thing::Half => Look::Continue(Mark(format!("{place}/2"))),
        Thing::UnderWay(_) => Look::UnderWay(Pause::for_change("under way")),
        Thing::Finished => Look::Done("seen".to_owned()),
        Thing::Broken => Look::Failed("broken".to_owned()),
    };
    let step = Step::new(&name, disruption, DEADLINE, look);
    if plan.cleans_up { step.that_cleans_up() } else { step }
}

impl Run {
    fn new(number: usize, priority: Priority, plans: Vec<Plan>) -> Self {
        let steps = plans.iter().enumerate().map(|(place, plan)| step(place, plan)).collect();
        let procedure = Procedure { name: format!("procedure {number}"), priority, created_at: time(0), steps };
        let world = Seen { things: vec![Thing::Nothing; plans.len()], is_held: false };
        Self { procedure, plans, shown: world.clone(), world, record: Vec::new() }
    }

    fn tick(&mut self) {
        for (thing, plan) in self.world.things.iter_mut().zip(&self.plans) {
            *thing = match *thing {
                Thing::UnderWay(0) if plan.fails => Thing::Broken,
                Thing::UnderWay(0) => Thing::Finished,
                Thing::UnderWay(left) => Thing::UnderWay(left - 1),
                other => other,
            };
        }
    }

    fn state(&self, place: usize) -> StepState {
        self.record.get(place).map_or(StepState::Pending, |step| step.state)
    }

    /// The effect is made; whoever made it sees it.
    fn carry_out(&mut self, effect: &Mark, is_open: bool) {
        let (place, part) = place_of(effect);
        let plan = &self.plans[place];
        assert!(!self.state(place).is_final(), "a step that is done is never done again");
        let thing = &mut self.world.things[place];
        *thing = match (*thing, part) {
            (Thing::Nothing, 1) => {
                let is_planned = plan.disruption == Some(Disruption::Planned);
                assert!(is_open || !is_planned, "nothing is done outside a window that must wait for one");
                if plan.is_in_two { Thing::Half } else { Thing::UnderWay(plan.work) }
            }
            (Thing::Half, 2) => Thing::UnderWay(plan.work),
            (other, _) => panic!("a crash does no second harm, but {effect:?} was made twice: {other:?}"),
        };
        self.shown = self.world.clone();
    }

    /// What one pass may make of the record.
    fn check(&self, after: &Advance<Mark>, standings: &[Standing], window: Window) {
        for (place, new) in after.steps.iter().enumerate() {
            let plan = &self.plans[place];
            if self.state(place).is_final() {
                assert_eq!(self.record.get(place), Some(new), "what has ended stays as it is");
            }
            assert!(new.state != StepState::Failed || plan.fails, "no clock and no crash fails a step: {new:?}");
            let claims = new.state == StepState::Running && self.state(place) != StepState::Running;
            if claims && plan.disrupts() && self.shown.things[place] == Thing::Nothing {
                self.check_claim(standings, window);
            }
        }
        if let Answer::Do { effect, .. } = &after.answer {
            let (place, _) = place_of(effect);
            assert_eq!(self.state(place), StepState::Running, "nothing is done that is not announced");
        }
        let standing = Standing::of(&self.procedure, &after.steps);
        if let (Answer::Wait(_), Some(current), true) = (&after.answer, &standing.current, standing.has_lock()) {
            let place = usize::try_from(current.step.number).unwrap() - 1;
            assert!(self.plans[place].disrupts(), "only what disrupts has the lock");
            assert!(self.shown.things[place].is_under_way(), "a wait holds no lock");
        }
    }

    fn check_claim(&self, standings: &[Standing], window: Window) {
        for other in standings.iter().filter(|other| other.name != self.procedure.name) {
            assert!(!other.has_lock(), "the lock is taken from nobody");
            let Some(current) = &other.current else { continue };
            let waits = current.disruption == Disruption::Planned && window != Window::Open;
            let wants = current.step.state == StepState::Queued && !waits;
            assert!(!wants || self.procedure.rank() < other.rank(), "the more urgent goes first");
        }
    }
}

/// The cluster, its procedures, and one process that runs them.
struct World {
    runs: Vec<Run>,
    now: Timestamp,
    awake: SignedDuration,
    is_open: bool,
}

impl World {
    fn standings(&self) -> Vec<Standing> {
        self.runs.iter().map(|run| Standing::of(&run.procedure, &run.record)).collect()
    }

    fn window(&self) -> Window {
        if self.is_open { Window::Open } else { Window::Closed { opens_at: None } }
    }

    fn restart(&mut self) {
        self.awake = SignedDuration::ZERO;
        for run in &mut self.runs {
            run.shown = run.world.clone();
        }
    }

    fn pass(&mut self, number: usize, crash: Crash) {
        let standings = self.standings();
        let (window, is_open) = (self.window(), self.is_open);
        let turn = Turn { now: self.now, awake: self.awake, window, standings: &standings };
        let run = &mut self.runs[number];
        let after = advance(&run.procedure, &run.record, &run.shown, &turn);
        run.check(&after, &standings, window);
        if crash == Crash::BeforeTheRecord {
            return self.restart();
        }
        run.record = after.steps;
        if crash == Crash::BeforeTheEffect {
            return self.restart();
        }
        if let Answer::Do { effect, .. } = after.answer {
            run.carry_out(&effect, is_open);
        }
        if crash == Crash::AfterTheEffect {
            self.restart();
        }
    }

    fn act(&mut self, action: &Action) {
        let count = self.runs.len();
        match *action {
            Action::Pass(number, crash) => self.pass(number % count, crash),
            Action::Tick(seconds) => self.tick(seconds),
            Action::Jump(seconds) => self.now += SignedDuration::from_secs(seconds),
            Action::Window(is_open) => self.is_open = is_open,
            Action::Hold(number, is_held) => self.runs[number % count].world.is_held = is_held,
            Action::Show(number) => {
                let run = &mut self.runs[number % count];
                run.shown = run.world.clone();
            }
            Action::Forget(number) => {
                let run = &mut self.runs[number % count];
                for place in 0..run.plans.len() {
                    if run.state(place) == StepState::Done {
                        run.world.things[place] = Thing::Nothing;
                    }
                }
            }
            Action::Restart => self.restart(),
        }
        self.check();
    }

    fn tick(&mut self, seconds: i64) {
        let passed = SignedDuration::from_secs(seconds);
        self.now += passed;
        self.awake += passed;
        self.runs.iter_mut().for_each(Run::tick);
    }

    fn check(&self) {
        let disrupting = self.runs.iter().flat_map(|run| {
            (0..run.plans.len())
                .filter(move |place| run.plans[*place].disrupts() && run.world.things[*place].is_under_way())
                .map(move |place| (&run.procedure.name, place))
        });
        let disrupting: Vec<(&String, usize)> = disrupting.collect();
        assert!(disrupting.len() <= 1, "at most one disruptive step of a cluster is under way: {disrupting:?}");
        let standings = self.standings();
        assert!(standings.iter().filter(|standing| standing.has_lock()).count() <= 1, "one lock for each cluster");
        let ahead = standings.iter().filter(|standing| standing.current.is_some()).count();
        assert_eq!(next(&standings, self.now).len(), ahead, "what is to come is told");
    }

    /// Time enough, every window open, nobody held up: each procedure comes to its end.
    fn settle(&mut self) {
        self.act(&Action::Window(true));
        for number in 0..self.runs.len() {
            self.act(&Action::Hold(number, false));
        }
        for _ in 0..400 {
            self.act(&Action::Tick(60));
            for number in 0..self.runs.len() {
                self.act(&Action::Show(number));
                self.act(&Action::Pass(number, Crash::None));
            }
            if self.standings().iter().all(|standing| standing.current.is_none()) {
                break;
            }
        }
        self.runs.iter().for_each(check_end);
    }
}

fn check_end(run: &Run) {
    let ends = states(&run.record);
    assert_eq!(ends.len(), run.plans.len(), "a procedure whose effects succeed ends: {ends:?}");
    let mut has_failed = false;
    for (plan, end) in run.plans.iter().zip(ends) {
        let expected = match (has_failed && !plan.cleans_up, plan.fails) {
            (true, _) => StepState::Skipped,
            (false, true) => StepState::Failed,
            (false, false) => StepState::Done,
        };
        assert_eq!(end, expected, "each step ends as its effect does, and what cleans up is always taken");
        has_failed |= end == StepState::Failed;
    }
}

fn plan() -> impl Strategy<Value = Plan> {
    let disruptions = vec![
        None,
        Some(Disruption::None),
        Some(Disruption::Planned),
        Some(Disruption::Urgent),
        Some(Disruption::Urgent),
    ];
    (select(disruptions), 0..4u8, any::<bool>(), 0..8u8, 0..3u8).prop_map(
        |(disruption, work, is_in_two, fate, tidy)| {
            let acts = disruption.is_some();
            Plan { disruption, work, is_in_two, fails: acts && fate == 0, cleans_up: acts && tidy == 0 }
        },
    )
}

fn priority() -> impl Strategy<Value = Priority> {
    select(vec![Priority::RevokeNow, Priority::Restore, Priority::Rollout, Priority::Rotation, Priority::Maintenance])
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        16 => (0..4usize, crash()).prop_map(|(number, crash)| Action::Pass(number, crash)),
        4 => (1..100i64).prop_map(Action::Tick),
        1 => (-200_000..200_000i64).prop_map(Action::Jump),
        2 => any::<bool>().prop_map(Action::Window),
        1 => (0..4usize, any::<bool>()).prop_map(|(number, is_held)| Action::Hold(number, is_held)),
        4 => (0..4usize).prop_map(Action::Show),
        1 => (0..4usize).prop_map(Action::Forget),
        1 => Just(Action::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn whatever_happens_in_whatever_order_each_procedure_ends_and_one_at_a_time_disrupts(
        procedures in vec((priority(), vec(plan(), 1..5)), 1..5),
        actions in vec(action(), 0..160),
    ) {
        let runs = procedures.into_iter().enumerate().map(|(number, (priority, plans))| Run::new(number, priority, plans));
        let mut world =
            World { runs: runs.collect(), now: time(1_000_000), awake: SignedDuration::ZERO, is_open: true };
        for action in &actions {
            world.act(action);
        }
        world.settle();
    }
}
