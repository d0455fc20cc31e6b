//! A model of how one document is written, deleted and cleaned up by several processes, and a check of every interleaving of their steps.
//!
//! Each step is one call to a store, named after the function that makes it. Between any two steps anything may happen: another process goes on, a process is killed, or a hold is taken away from
//! a holder that still believes in it, as after a stall or a jump of a clock. Calls to the two stores are never one step.
//! The model bites: of each rule of the protocol there is a variant without it, for which the check must find a counterexample.

use stateright::{Checker, HasDiscoveries, Model, Property};

/// Writers that compete.
const WRITERS: usize = 2;
/// Parts of a document, each stored with a call of its own.
const PARTS: usize = 2;
/// Holders that are no writers.
const DELETER: u8 = 8;
const CLEANER: u8 = 9;

/// A set of versions.
type Versions = u8;

fn only(version: u8) -> Versions {
    1 << version
}

/// The rules of the protocol, each of which can be left out.
#[derive(Debug, Clone, Copy)]
struct Rules {
    /// Each writing has a version that no other has.
    own_versions: bool,
    /// A purge removes the versions that it names, and not all but one.
    named_purges: bool,
    /// The version of a record never comes again, also after a removal.
    growing_fences: bool,
    /// A place is made for a document that is not there, so that each commit changes a record.
    places: bool,
    /// The claim is confirmed after the record was read.
    confirms: bool,
    /// Also after a conflict.
    conflict_before_confirm: bool,
    /// Whoever takes a claim over changes the record before it purges.
    fences_off: bool,
    /// What was accepted before the latest deletion is not written.
    looks_at_marks: bool,
    /// A deletion leaves its mark before it removes the record.
    marks_first: bool,
    /// The sweep reads the claim before the record.
    claim_before_record: bool,
}

const ALL: Rules = Rules {
    own_versions: true,
    named_purges: true,
    growing_fences: true,
    places: true,
    confirms: true,
    conflict_before_confirm: true,
    fences_off: true,
    looks_at_marks: true,
    marks_first: true,
    claim_before_record: true,
};

/// Who takes part, and how often the first writer may begin.
#[derive(Debug, Clone, Copy)]
struct Scene {
    rules: Rules,
    writers: usize,
    attempts: u8,
    deleter: bool,
    cleaner: bool,
    sweeper: bool,
}

/// The record of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Document {
    Absent,
    Place,
    Stands(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct ClaimRecord {
    holder: u8,
    versions: Versions,
    /// Whether it was written once.
    is_first: bool,
}

/// What a process knows of the document's record: whether it is as it was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Read {
    is_current: bool,
    /// Whether the record had been written once when it was read.
    was_first: bool,
    stood: Option<u8>,
    was_absent: bool,
}

/// What a process that has a claim knows of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Claim {
    holder: u8,
    versions: Versions,
    inherited: bool,
    /// Whether it was written once.
    is_first: bool,
}

/// The steps of [`Ingest::release`](crate::ingest::Ingest) and of what comes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum At {
    Take,
    Place,
    WasDeleted,
    Confirm,
    Upsert(u8),
    Commit,
    ConfirmAfterConflict,
    WasDeletedAfterConflict,
    Mark,
    Remove,
    FenceOffReads,
    FenceOffChanges,
    Purge(Versions),
    GiveBack,
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Process {
    at: At,
    read: Read,
    claim: Option<Claim>,
    attempt: u8,
    /// Whether it was accepted after the deletion was begun.
    after_mark: bool,
    /// Whether it was accepted after the deletion was acknowledged.
    after_deletion: bool,
    accepted: bool,
    acknowledged: bool,
    /// Where it goes once its claim is given back.
    again: bool,
}

impl Process {
    fn new(at: At) -> Self {
        Self {
            at,
            read: Read::default(),
            claim: None,
            attempt: 0,
            after_mark: false,
            after_deletion: false,
            accepted: false,
            acknowledged: false,
            again: false,
        }
    }
}

/// A pass of the sweep over what no record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Sweep {
    Scan,
    First(u8),
    Second(u8),
    Purge(u8),
    Ended,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    document: Document,
    /// Whether the document's record was written once.
    is_first: bool,
    claim: Option<ClaimRecord>,
    marked: bool,
    parts: [Versions; PARTS],
    writers: [Process; WRITERS],
    deleter: Process,
    cleaner: Process,
    sweep: Sweep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Writer(usize),
    Deleter,
    Cleaner,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// A document is accepted to be written.
    Accept(usize),
    /// The next call of a process.
    Step(Who),
    /// The deletion goes on without a claim, because another has it.
    WithoutClaim,
    /// The process is killed, or notices in [`Hold::check`](crate::ports::Hold) that its hold is lost, and touches nothing more.
    Stop(Who),
    /// The sweep takes up this version.
    Sweeps(u8),
    /// The next call of the sweep.
    SweepSteps,
}

impl Scene {
    fn version(&self, writer: usize, attempt: u8) -> u8 {
        if self.rules.own_versions { writer as u8 * self.attempts + attempt } else { 0 }
    }

    /// The writer that wrote a version.
    fn writer_of(&self, version: u8) -> usize {
        usize::from(version / self.attempts)
    }

    fn holder(&self, who: Who, process: &Process) -> u8 {
        match who {
            Who::Writer(writer) => writer as u8 * self.attempts + process.attempt,
            Who::Deleter => DELETER,
            Who::Cleaner => CLEANER,
        }
    }
}

impl State {
    fn process(&mut self, who: Who) -> &mut Process {
        match who {
            Who::Writer(writer) => &mut self.writers[writer],
            Who::Deleter => &mut self.deleter,
            Who::Cleaner => &mut self.cleaner,
        }
    }

    /// Writes the document's record: what others read of it is not current any more.
    fn write(&mut self, document: Document, is_first: bool) {
        (self.document, self.is_first) = (document, is_first);
        for process in self.writers.iter_mut().chain([&mut self.deleter, &mut self.cleaner]) {
            process.read.is_current = false;
        }
    }

    fn reads(&self) -> Read {
        let stood = match self.document {
            Document::Stands(version) => Some(version),
            Document::Absent | Document::Place => None,
        };
        Read { is_current: true, was_first: self.is_first, stood, was_absent: self.document == Document::Absent }
    }

    /// Whether a change that is conditional on what was read succeeds.
    fn may_change(&self, rules: Rules, read: Read) -> bool {
        let comes_again = !rules.growing_fences && read.was_first && self.is_first && self.document != Document::Absent;
        !read.was_absent && (read.is_current || comes_again)
    }

    /// Whether a write of a claim succeeds.
    fn may_write(&self, rules: Rules, claim: Claim) -> bool {
        self.claim.is_some_and(|record| {
            record.holder == claim.holder || (!rules.growing_fences && record.is_first && claim.is_first)
        })
    }

    fn purge(&mut self, version: u8) {
        for part in &mut self.parts {
            *part &= !only(version);
        }
    }
}

impl Scene {
    /// The next call of a process; none where it waits.
    fn step(&self, state: &State, who: Who) -> Option<State> {
        let mut next = state.clone();
        let process = *next.process(who);
        match process.at {
            At::Take => self.take(&mut next, who),
            At::Mark => {
                next.marked = true;
                next.process(who).at = if self.rules.marks_first { At::Take } else { At::Ended };
                next.process(who).acknowledged = !self.rules.marks_first;
            }
            At::Remove => self.remove(&mut next, who),
            At::FenceOffReads | At::FenceOffChanges | At::Purge(_) | At::GiveBack => self.release(&mut next, who),
            At::Ended => return None,
            At::Place
            | At::WasDeleted
            | At::Confirm
            | At::Upsert(_)
            | At::Commit
            | At::ConfirmAfterConflict
            | At::WasDeletedAfterConflict => self.writes(&mut next, who),
        }
        Some(next)
    }

    /// [`Holds::take`](crate::ports::Holds), with a holder that can be taken for dead at any time.
    fn take(&self, state: &mut State, who: Who) {
        let process = *state.process(who);
        let own = match who {
            Who::Writer(writer) => only(self.version(writer, process.attempt)),
            Who::Deleter | Who::Cleaner => 0,
        };
        let before = state.claim;
        let holder = self.holder(who, &process);
        let versions = own | before.map_or(0, |record| record.versions);
        let (inherited, is_first) = (before.is_some(), before.is_none());
        state.claim = Some(ClaimRecord { holder, versions, is_first });
        let process = state.process(who);
        process.claim = Some(Claim { holder, versions, inherited, is_first });
        process.at = match who {
            Who::Writer(_) => At::Place,
            Who::Deleter => At::Remove,
            Who::Cleaner => At::FenceOffReads,
        };
    }

    /// A writer's calls, from the place to the commit.
    fn writes(&self, state: &mut State, who: Who) {
        let Who::Writer(writer) = who else { return };
        let process = *state.process(who);
        let Some(mut claim) = process.claim else { return };
        let version = self.version(writer, process.attempt);
        let is_deleted = self.rules.looks_at_marks && state.marked && !process.after_mark;
        let at = match process.at {
            At::Place => {
                if state.document == Document::Absent && self.rules.places {
                    state.write(Document::Place, true);
                }
                let read = state.reads();
                state.process(who).read = read;
                At::WasDeleted
            }
            At::WasDeleted if is_deleted => At::FenceOffReads,
            At::WasDeleted if self.rules.confirms => At::Confirm,
            At::WasDeleted => At::Upsert(0),
            At::Confirm if !state.may_write(self.rules, claim) => At::Ended,
            At::Confirm => {
                claim.versions |= process.read.stood.map_or(0, only);
                claim.is_first = false;
                state.claim = Some(ClaimRecord { holder: claim.holder, versions: claim.versions, is_first: false });
                state.process(who).claim = Some(claim);
                At::Upsert(0)
            }
            At::Upsert(part) => {
                state.parts[usize::from(part)] |= only(version);
                if usize::from(part) + 1 < PARTS { At::Upsert(part + 1) } else { At::Commit }
            }
            At::Commit => self.commit(state, who, (claim, version)),
            At::ConfirmAfterConflict if !state.may_write(self.rules, claim) => At::Ended,
            At::ConfirmAfterConflict => At::WasDeletedAfterConflict,
            At::WasDeletedAfterConflict if is_deleted => At::FenceOffReads,
            At::WasDeletedAfterConflict => {
                let read = if self.rules.conflict_before_confirm { process.read } else { state.reads() };
                if read.stood.is_some_and(|stands| claim.versions & only(stands) != 0) {
                    state.process(who).read = read;
                    At::Commit
                } else {
                    state.process(who).again = true;
                    At::FenceOffReads
                }
            }
            other => other,
        };
        if at == At::Ended {
            self.ends(state, who, true);
        } else {
            state.process(who).at = at;
        }
    }

    /// The commit: a change of the record that was read, or of none where there was none.
    fn commit(&self, state: &mut State, who: Who, (claim, version): (Claim, u8)) -> At {
        let process = *state.process(who);
        let is_new = process.read.was_absent && state.document == Document::Absent;
        if is_new || state.may_change(self.rules, process.read) {
            state.write(Document::Stands(version), is_new);
            let process = state.process(who);
            process.acknowledged = true;
            At::Purge(claim.versions & !only(version))
        } else {
            // The conflict tells what stands, before the claim is confirmed.
            if self.rules.conflict_before_confirm {
                let read = state.reads();
                state.process(who).read = read;
            }
            At::ConfirmAfterConflict
        }
    }

    /// [`Ingest::delete`](crate::ingest::Ingest) once it has the claim, or goes on without one.
    fn remove(&self, state: &mut State, who: Who) {
        let Document::Stands(version) = state.document else {
            if state.document == Document::Place {
                state.write(Document::Absent, false);
            }
            let at = if state.process(who).claim.is_some() { At::FenceOffReads } else { At::Purge(0) };
            state.process(who).at = at;
            return;
        };
        // What is read and what is removed is the same record, or it is read again: one step.
        state.write(Document::Absent, false);
        let Some(mut claim) = state.process(who).claim else {
            state.process(who).at = At::Purge(only(version));
            return;
        };
        claim.versions |= only(version);
        claim.is_first = false;
        if state.may_write(self.rules, claim) {
            state.claim = Some(ClaimRecord { holder: claim.holder, versions: claim.versions, is_first: false });
        }
        let process = state.process(who);
        (process.claim, process.at) = (Some(claim), At::FenceOffReads);
    }

    /// [`Ingest::release`](crate::ingest::Ingest).
    fn release(&self, state: &mut State, who: Who) {
        let process = *state.process(who);
        let claim = process.claim.unwrap_or_default();
        let after_fence = At::Purge(claim.versions & !process.read.stood.map_or(0, only));
        let at = match process.at {
            At::FenceOffReads => {
                let read = state.reads();
                state.process(who).read = read;
                let changes = match state.document {
                    Document::Absent => false,
                    Document::Place => true,
                    Document::Stands(_) => claim.inherited && self.rules.fences_off,
                };
                if changes { At::FenceOffChanges } else { At::Purge(claim.versions & !read.stood.map_or(0, only)) }
            }
            At::FenceOffChanges if !state.may_change(self.rules, process.read) => At::FenceOffReads,
            At::FenceOffChanges => {
                let (document, is_first) = match process.read.stood {
                    Some(version) => (Document::Stands(version), false),
                    None => (Document::Absent, false),
                };
                state.write(document, is_first);
                after_fence
            }
            At::Purge(0) => At::GiveBack,
            At::Purge(dead) if self.rules.named_purges => {
                let version = dead.trailing_zeros() as u8;
                state.purge(version);
                At::Purge(dead & !only(version))
            }
            At::Purge(_) => {
                let kept = match who {
                    Who::Writer(writer) if process.acknowledged => only(self.version(writer, process.attempt)),
                    Who::Writer(_) | Who::Deleter | Who::Cleaner => process.read.stood.map_or(0, only),
                };
                for part in &mut state.parts {
                    *part &= kept;
                }
                At::GiveBack
            }
            At::GiveBack => {
                if process.claim.is_some() && state.may_write(self.rules, claim) {
                    state.claim = None;
                }
                self.ends(state, who, process.again);
                return;
            }
            other => other,
        };
        state.process(who).at = at;
    }

    /// A process is done, or begins anew: a job that was put off, or taken up by another replica.
    fn ends(&self, state: &mut State, who: Who, again: bool) {
        let attempts = self.attempts;
        let process = state.process(who);
        let before = *process;
        *process = Process { at: At::Ended, claim: None, read: Read::default(), again: false, ..before };
        match who {
            Who::Writer(0) if again && !before.acknowledged && before.attempt + 1 < attempts => {
                (process.at, process.attempt) = (At::Take, before.attempt + 1);
            }
            Who::Writer(_) | Who::Cleaner => {}
            Who::Deleter => {
                process.acknowledged = self.rules.marks_first;
                if !self.rules.marks_first {
                    process.at = At::Mark;
                }
            }
        }
    }

    fn sweeps(&self, state: &mut State) {
        let is_claimed = |state: &State, version| state.claim.is_some_and(|claim| claim.versions & only(version) != 0);
        let stands = |state: &State, version| state.document == Document::Stands(version);
        let claim_first = self.rules.claim_before_record;
        state.sweep = match state.sweep {
            Sweep::First(version) => {
                let is_needed = if claim_first { is_claimed(state, version) } else { stands(state, version) };
                if is_needed { Sweep::Ended } else { Sweep::Second(version) }
            }
            Sweep::Second(version) => {
                let is_needed = if claim_first { stands(state, version) } else { is_claimed(state, version) };
                if is_needed { Sweep::Ended } else { Sweep::Purge(version) }
            }
            Sweep::Purge(version) => {
                state.purge(version);
                Sweep::Ended
            }
            other @ (Sweep::Scan | Sweep::Ended) => other,
        };
    }

    fn everybody(&self) -> Vec<Who> {
        let mut all: Vec<Who> = (0..self.writers).map(Who::Writer).collect();
        all.extend(self.deleter.then_some(Who::Deleter));
        all.extend(self.cleaner.then_some(Who::Cleaner));
        all
    }
}

impl Model for Scene {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let deleter = if self.rules.marks_first { At::Mark } else { At::Take };
        vec![State {
            document: Document::Absent,
            is_first: false,
            claim: None,
            marked: false,
            parts: [0; PARTS],
            writers: [Process::new(At::Ended); WRITERS],
            deleter: Process::new(deleter),
            cleaner: Process::new(At::Take),
            sweep: if self.sweeper { Sweep::Scan } else { Sweep::Ended },
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for writer in 0..self.writers {
            if !state.writers[writer].accepted {
                actions.push(Action::Accept(writer));
            }
        }
        for who in self.everybody() {
            let process = match who {
                Who::Writer(writer) => &state.writers[writer],
                Who::Deleter => &state.deleter,
                Who::Cleaner => &state.cleaner,
            };
            if process.at == At::Ended || (who == Who::Cleaner && process.at == At::Take && state.claim.is_none()) {
                continue;
            }
            actions.push(Action::Step(who));
            if process.at != At::Take {
                actions.push(Action::Stop(who));
            } else if who == Who::Deleter && state.claim.is_some() {
                actions.push(Action::WithoutClaim);
            }
        }
        if state.sweep == Sweep::Scan {
            let stored = state.parts.iter().fold(0, |all, part| all | part);
            actions.extend((0..8).filter(|version| stored & only(*version) != 0).map(Action::Sweeps));
        } else if state.sweep != Sweep::Ended {
            actions.push(Action::SweepSteps);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Accept(writer) => {
                let (after_mark, after_deletion) = (state.marked, state.deleter.acknowledged);
                next.writers[writer] = Process { accepted: true, after_mark, after_deletion, ..Process::new(At::Take) };
            }
            Action::Step(who) => return self.step(state, who),
            Action::WithoutClaim => next.deleter.at = At::Remove,
            Action::Stop(who) => {
                let acknowledged = next.process(who).acknowledged;
                self.ends(&mut next, who, true);
                next.process(who).acknowledged = acknowledged;
                if who == Who::Deleter {
                    next.deleter.at = At::Ended;
                }
            }
            Action::Sweeps(version) => next.sweep = Sweep::First(version),
            Action::SweepSteps => self.sweeps(&mut next),
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("a record's chunks are all there", |_, state: &State| match state.document {
                Document::Stands(version) => state.parts.iter().all(|part| part & only(version) != 0),
                Document::Absent | Document::Place => true,
            }),
            Property::always("a deleted text is never found again", |scene: &Scene, state: &State| {
                match state.document {
                    Document::Stands(version) if state.deleter.acknowledged => {
                        state.writers[scene.writer_of(version)].after_mark
                    }
                    Document::Stands(_) | Document::Absent | Document::Place => true,
                }
            }),
            Property::always("an acknowledged document is never lost", |_, state: &State| {
                let stays = |writer: &Process| writer.acknowledged && (writer.after_deletion || !state.marked);
                !state.writers.iter().any(stays) || matches!(state.document, Document::Stands(_))
            }),
            Property::sometimes("every writer is acknowledged", |scene: &Scene, state: &State| {
                state.writers.iter().take(scene.writers).all(|writer| writer.acknowledged)
            }),
        ]
    }
}

const CHUNKS: &str = "a record's chunks are all there";
const DELETED: &str = "a deleted text is never found again";
const LOST: &str = "an acknowledged document is never lost";

/// Two writers of one document, and somebody who cleans up after writers that it takes for dead.
fn writers(rules: Rules) -> Scene {
    Scene { rules, writers: 2, attempts: 2, deleter: false, cleaner: true, sweeper: false }
}

/// Two writers, one of whom may be accepted after the deletion.
fn deletion(rules: Rules) -> Scene {
    Scene { rules, writers: 2, attempts: 1, deleter: true, cleaner: false, sweeper: false }
}

/// A writer that begins anew, a deletion, and who cleans up after both.
fn cleaned_deletion(rules: Rules) -> Scene {
    Scene { rules, writers: 1, attempts: 2, deleter: true, cleaner: true, sweeper: false }
}

/// Two writers, and the sweep of what no record holds.
fn sweep(rules: Rules) -> Scene {
    Scene { rules, writers: 2, attempts: 2, deleter: false, cleaner: false, sweeper: true }
}

/// Whether an invariant is broken by some interleaving.
fn breaks(scene: Scene, invariant: &'static str) -> bool {
    let found = HasDiscoveries::AnyOf([invariant].into());
    scene.checker().finish_when(found).threads(2).spawn_bfs().join().discovery(invariant).is_some()
}

#[test]
fn no_interleaving_of_writers_deleter_cleaner_and_sweep_breaks_an_invariant() {
    for scene in [writers(ALL), deletion(ALL), cleaned_deletion(ALL), sweep(ALL)] {
        let checker = scene.checker().threads(2).spawn_bfs().join();
        checker.assert_properties();
        assert!(checker.unique_state_count() > 1_000, "{scene:?}");
    }
}

#[test]
fn without_versions_of_their_own_a_late_purge_removes_the_chunks_of_the_next_writer() {
    assert!(breaks(writers(Rules { own_versions: false, ..ALL }), CHUNKS));
}

#[test]
fn a_purge_of_all_but_the_committed_version_removes_the_chunks_of_the_next_writer() {
    assert!(breaks(writers(Rules { named_purges: false, ..ALL }), CHUNKS));
}

#[test]
fn where_versions_of_records_restart_a_writer_that_lost_its_claim_commits() {
    assert!(breaks(writers(Rules { growing_fences: false, ..ALL }), CHUNKS));
}

#[test]
fn without_a_place_a_document_comes_back_after_its_deletion() {
    assert!(breaks(deletion(Rules { places: false, ..ALL }), DELETED));
}

#[test]
fn without_a_confirmation_after_the_record_was_read_a_writer_commits_what_was_purged() {
    assert!(breaks(writers(Rules { confirms: false, ..ALL }), CHUNKS));
}

#[test]
fn a_record_that_is_read_after_the_claim_was_confirmed_is_committed_over_though_the_claim_is_lost() {
    assert!(breaks(writers(Rules { conflict_before_confirm: false, ..ALL }), CHUNKS));
}

#[test]
fn where_nobody_is_fenced_off_a_writer_that_lost_its_claim_commits_what_was_purged() {
    let rules = Rules { fences_off: false, ..ALL };
    assert!(breaks(writers(rules), CHUNKS) || breaks(cleaned_deletion(rules), LOST));
}

#[test]
fn without_a_look_at_the_mark_what_waited_undoes_a_deletion() {
    assert!(breaks(cleaned_deletion(Rules { looks_at_marks: false, ..ALL }), DELETED));
}

#[test]
fn a_mark_that_is_left_after_the_removal_comes_too_late() {
    assert!(breaks(cleaned_deletion(Rules { marks_first: false, ..ALL }), DELETED));
}

#[test]
fn a_sweep_that_reads_the_record_before_the_claim_removes_what_is_committed_in_between() {
    assert!(breaks(sweep(Rules { claim_before_record: false, ..ALL }), CHUNKS));
}
