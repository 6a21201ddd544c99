//! Three replicas, one Secret, one webhook configuration and API servers that read it late: every interleaving of their
//! steps, within bounds, with the real [`next`] deciding.
//!
//! A breadth-first search of our own, and no model checker: the decision under test is the product's own function, its
//! answers are remembered by what it was asked (a few thousand questions for hundreds of thousands of states), and what
//! is left of a checker is a set and a queue. A counterexample comes as the shortest list of steps.
//!
//! What stands for what: a replica's round is three steps that others come in between (read the configuration; read the
//! Secret, decide and sign; each write). A write is a compare-and-swap. API servers have one view of the configuration,
//! which is refreshed at any time; the settle time is longer than that takes, so an authority is settled only after a
//! refresh. A replica may fall asleep at any step, but does not write to the Secret what it decided a day before. A day is
//! one tick: leaves end after the next one, and an authority is retired for two. Crashes lose all that a replica knows.
//! The Secret is deleted or cut off, and bundles are wiped, at any time. What is served is the listener's own
//! [`Serving`]: any client refuses what it was presented, at any time, also between a decision to sign and the
//! signature.

use std::collections::hash_map::Entry as Slot;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::certs::serving::Serving;
use crate::certs::store::{Contents, Retired, StoreError};
use crate::certs::{Authority, ServiceName};

const REPLICAS: usize = 3;
const ENTRIES: usize = 2;
/// One for each rotation and each loss that the bounds allow, and one more.
const AUTHORITIES: usize = 6;
const DAY: Duration = Duration::from_hours(24);

/// An authority, by its place in the pool.
type Id = u8;
/// A set of authorities.
type Set = u8;

/// What the Secret holds, or what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Held {
    ca: Id,
    next: Option<Id>,
    /// With the day until which each is trusted.
    previous: [Option<(Id, u8)>; 4],
    retired: Set,
}

impl Held {
    fn bundle(&self) -> Set {
        let previous = self.previous.iter().flatten().map(|(id, _)| *id);
        let all = previous.chain([self.ca]).chain(self.next);
        all.fold(0, |set, id| set | 1 << id)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Secret {
    Missing,
    Empty,
    /// The key is cut off; certificates are left.
    CutOff(Held),
    Sound(Held),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Leaf {
    issuer: Id,
    /// The day on which it was signed.
    signed: u8,
}

impl Leaf {
    fn is_valid(self, day: u8) -> bool {
        day <= self.signed + 1
    }

    /// As [`Served::is_ending`] says of what [`Model::decide`] makes of it.
    fn is_ending(self, day: u8) -> bool {
        day > self.signed
    }

    /// May it come back, if a client refuses what follows it?
    fn is_way_back(self, bundles: [Set; ENTRIES], day: u8) -> bool {
        self.is_valid(day) && bundles.iter().all(|each| each & 1 << self.issuer != 0)
    }
}

/// Where a replica is in its round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Doing {
    Nothing,
    /// Has read the configuration.
    Read {
        bundles: [Set; ENTRIES],
        outdated: bool,
    },
    /// Has decided, and has done so many of the actions.
    Acts {
        plan: usize,
        done: u8,
        day: u8,
        /// What it has decided about, if it has still to sign.
        seen: Option<Leaf>,
        way_back: bool,
        configuration_outdated: bool,
        secret_outdated: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Replica {
    up: bool,
    doing: Doing,
    known: Option<Held>,
    serving: Serving<Leaf>,
    /// A client has refused the last switch, a short while ago.
    held: bool,
    /// Authorities seen in every entry, those since then read by API servers, those proven after that.
    seen: Set,
    refreshed: Set,
    proven: Set,
    /// Have API servers trusted its leaf, or may it count on that? From then on they must.
    trusted: bool,
}

impl Replica {
    const FRESH: Self = Self {
        up: true,
        doing: Doing::Nothing,
        known: None,
        serving: Serving::NOTHING,
        held: false,
        seen: 0,
        refreshed: 0,
        proven: 0,
        trusted: false,
    };
    const DOWN: Self = Self {
        up: false,
        ..Self::FRESH
    };

    fn served(&self) -> Option<Leaf> {
        self.serving.current().copied()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct World {
    replicas: [Replica; REPLICAS],
    secret: Secret,
    requested: bool,
    /// What lay in the Secret when the last request was made, and is not to be trusted in the end.
    leaked: Set,
    bundles: [Set; ENTRIES],
    /// What API servers go by.
    view: [Set; ENTRIES],
    made: u8,
    day: u8,
    /// Nobody takes anything away: whoever finds itself trusted is, by API servers that read late, too.
    is_orderly: bool,
    left: Bounds,
}

/// How often what may still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Bounds {
    starts: u8,
    crashes: u8,
    losses: u8,
    wipes: u8,
    refusals: u8,
    requests: u8,
    days: u8,
}

/// What a replica is asked, in small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Question {
    secret: Secret,
    requested: bool,
    known: Option<Held>,
    bundles: [Set; ENTRIES],
    served: Option<Leaf>,
    held: bool,
    settled: Set,
    proven: Set,
    day: u8,
}

/// What it is to do, in small. `NEW` stands for an authority that does not exist yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Create,
    Store(Held, bool),
    Publish,
    Prove(Id),
    Sign,
}

const NEW: Id = 7;

/// What happens between two worlds. Replicas by their place, which changes, since they are kept in order.
#[derive(Debug, Clone, Copy)]
enum Move {
    Starts,
    Crashes,
    Advances(usize),
    /// A client refuses what it was presented.
    Refuses,
    HoldEnds,
    ApiServersRead,
    SecretDeleted,
    SecretCutOff,
    BundleWiped,
    RotationRequested,
    DayPasses,
}

/// The pool, and what [`next`] has answered.
struct Model {
    pool: Vec<Authority>,
    plans: Vec<Vec<Step>>,
    answers: HashMap<Question, usize>,
}

impl Model {
    fn new() -> Self {
        let name = ServiceName::new("javelin", "javelin-system").unwrap();
        let life = DAY * 3_000;
        let make = || Authority::generate(&name, life, day(0)).unwrap();
        Self {
            pool: (0..AUTHORITIES).map(|_| make()).collect(),
            plans: Vec::new(),
            answers: HashMap::new(),
        }
    }

    fn certificate(&self, id: Id) -> AuthorityCertificate {
        self.pool[usize::from(id)].certificate().clone()
    }

    fn set(&self, set: Set) -> Vec<AuthorityCertificate> {
        let ids = (0..NEW).filter(|id| set & 1 << id != 0);
        ids.map(|id| self.certificate(id)).collect()
    }

    fn contents(&self, held: &Held) -> Contents {
        let retired = |(id, until): &(Id, u8)| Retired::new(self.certificate(*id), day(*until));
        Contents {
            authority: self.pool[usize::from(held.ca)].clone(),
            next: held.next.map(|id| self.pool[usize::from(id)].clone()),
            previous: held.previous.iter().flatten().map(retired).collect(),
            retired: self
                .set(held.retired)
                .iter()
                .map(AuthorityCertificate::fingerprint)
                .collect(),
        }
    }

    fn id(&self, certificate: &AuthorityCertificate) -> Id {
        let at = self
            .pool
            .iter()
            .position(|each| each.certificate() == certificate);
        u8::try_from(at.unwrap()).unwrap()
    }

    fn retired(&self, previous: &[Retired]) -> [Option<(Id, u8)>; 4] {
        let mut held = [None; 4];
        assert!(
            previous.len() <= held.len(),
            "{} predecessors",
            previous.len()
        );
        for (at, each) in previous.iter().enumerate() {
            let days = each.until.duration_since(day(0)).unwrap().as_secs() / DAY.as_secs();
            held[at] = Some((self.id(&each.certificate), u8::try_from(days).unwrap()));
        }
        held
    }

    fn held(&self, contents: &Contents) -> Held {
        Held {
            ca: self.id(contents.authority.certificate()),
            next: contents
                .next
                .as_ref()
                .map(|next| self.id(next.certificate())),
            previous: self.retired(&contents.previous),
            retired: self.named(&contents.retired),
        }
    }

    /// Those with these fingerprints.
    fn named(&self, fingerprints: &[String]) -> Set {
        let pool = self.pool.iter().enumerate();
        pool.fold(0, |set, (id, each)| {
            let is_named = fingerprints.contains(&each.certificate().fingerprint());
            set | u8::from(is_named) << id
        })
    }

    /// The plan for this question, by its number.
    fn ask(&mut self, question: Question) -> usize {
        if let Some(plan) = self.answers.get(&question) {
            return *plan;
        }
        let plan = self.decide(&question);
        let at = self.plans.iter().position(|other| *other == plan);
        let at = at.unwrap_or_else(|| {
            self.plans.push(plan);
            self.plans.len() - 1
        });
        self.answers.insert(question, at);
        at
    }

    fn decide(&self, question: &Question) -> Vec<Step> {
        let stored = match &question.secret {
            Secret::Missing => Stored::Missing,
            Secret::Empty => Stored::Empty,
            Secret::CutOff(held) => Stored::Damaged {
                error: StoreError::Missing("ca.key"),
                usable: None,
                kept: self.set(held.bundle()),
            },
            Secret::Sound(held) => Stored::Sound(self.contents(held)),
        };
        let entry = |(at, bundle): (usize, &Set)| {
            let authorities = self.set(*bundle);
            BundleEntry {
                name: format!("entry-{at}"),
                bundle: authorities
                    .iter()
                    .map(AuthorityCertificate::to_pem)
                    .collect::<String>()
                    .into_bytes(),
                authorities,
            }
        };
        let entries: Vec<_> = question.bundles.iter().enumerate().map(entry).collect();
        let served = question.served.map(|leaf| Served {
            issuer: self.certificate(leaf.issuer),
            validity: Validity {
                not_before: day(leaf.signed),
                not_after: day(leaf.signed + 1) + DAY / 2,
            },
            // On the next day it is due, and about to end.
            renew_at: day(leaf.signed) + DAY / 3,
        });
        let trust_level = |id: Id| {
            let trust_level = match 1 << id {
                bit if question.proven & bit != 0 => TrustLevel::Proven,
                bit if question.settled & bit != 0 => TrustLevel::Settled,
                _ => TrustLevel::Unsettled,
            };
            (self.certificate(id), trust_level)
        };
        let trust_levels: Vec<_> = (0..AUTHORITIES)
            .map(|id| trust_level(u8::try_from(id).unwrap()))
            .collect();
        let known = question.known.map(|held| self.contents(&held));
        let actions = next(&Observed {
            stored: &stored,
            requested: question.requested,
            known: known.as_ref(),
            entries: Some(&entries),
            served: served.as_ref(),
            trust_levels: &trust_levels,
            held: question.held,
            lifetimes: Lifetimes {
                leaf: DAY,
                ..Lifetimes::default()
            },
            now: day(question.day),
        });
        actions.iter().map(|action| self.step(action)).collect()
    }

    fn step(&self, action: &Action) -> Step {
        match action {
            Action::Create => Step::Create,
            Action::Restore { contents, .. }
            | Action::Adopt(contents)
            | Action::Promote(contents)
            | Action::Prune(contents) => Step::Store(self.held(contents), false),
            Action::Replace {
                previous, retired, ..
            } => {
                let held = Held {
                    ca: NEW,
                    next: None,
                    previous: self.retired(previous),
                    retired: self.named(retired),
                };
                Step::Store(held, true)
            }
            Action::Prepare { contents, .. } => {
                let held = Held {
                    next: Some(NEW),
                    ..self.held(contents)
                };
                Step::Store(held, true)
            }
            Action::Publish(_) => Step::Publish,
            Action::Prove(authority) => Step::Prove(self.id(authority)),
            Action::Sign => Step::Sign,
        }
    }

    /// Everything that can happen next.
    fn successors(&mut self, world: &World) -> Vec<(Move, World)> {
        let mut all = Vec::new();
        let mut add = |what: Move, world: World| all.push((what, world));
        for at in 0..REPLICAS {
            let replica = &world.replicas[at];
            if !replica.up {
                if world.left.starts > 0 {
                    let mut next = *world;
                    next.replicas[at] = Replica::FRESH;
                    next.left.starts -= 1;
                    add(Move::Starts, next);
                }
                continue;
            }
            if world.left.crashes > 0 {
                let mut next = *world;
                next.replicas[at] = Replica::DOWN;
                next.left.crashes -= 1;
                add(Move::Crashes, next);
            }
            if let Some(next) = self.advance(world, at) {
                add(Move::Advances(at), next);
            }
            if let Some(next) = refuse(world, at) {
                add(Move::Refuses, next);
            }
            if replica.held {
                let mut next = *world;
                next.replicas[at].held = false;
                add(Move::HoldEnds, next);
            }
        }
        if world.view != world.bundles
            || world
                .replicas
                .iter()
                .any(|each| each.refreshed != each.seen)
        {
            let mut next = *world;
            next.view = world.bundles;
            for each in &mut next.replicas {
                each.refreshed = each.seen;
            }
            add(Move::ApiServersRead, next);
        }
        for (what, next) in outside(world) {
            add(what, next);
        }
        if world.left.days > 0 && self.is_at_rest(world) {
            let mut next = *world;
            next.left.days -= 1;
            next.day += 1;
            add(Move::DayPasses, next);
        }
        for (_, next) in &mut all {
            settle(next);
        }
        all
    }

    /// A day is long: whoever is not in the middle of something has nothing left to do.
    fn is_at_rest(&mut self, world: &World) -> bool {
        let ready = world.view == world.bundles;
        ready
            && world.replicas.iter().all(|replica| {
                let idle = replica.doing == Doing::Nothing && replica.refreshed == replica.seen;
                let stalled = replica.doing != Doing::Nothing;
                !replica.up
                    || stalled
                    || idle && {
                        let mut replica = *replica;
                        look(&mut replica);
                        let of = known(world, &replica);
                        observe(&mut replica, world.bundles, of);
                        let plan = self.ask(question(world, &replica, world.bundles));
                        self.plans[plan].is_empty()
                    }
            })
    }

    /// One step of one replica.
    fn advance(&mut self, world: &World, at: usize) -> Option<World> {
        let mut next = *world;
        match world.replicas[at].doing {
            Doing::Nothing => {
                next.replicas[at].doing = Doing::Read {
                    bundles: world.bundles,
                    outdated: false,
                };
            }
            Doing::Read { bundles, outdated } => self.decides(&mut next, at, bundles, outdated),
            Doing::Acts {
                plan,
                done,
                configuration_outdated,
                secret_outdated,
                day,
                seen,
                way_back,
            } => {
                let steps = &self.plans[plan];
                let step = steps[usize::from(done)];
                let ok = match step {
                    Step::Sign => sign(&mut next.replicas[at], seen, way_back, day),
                    Step::Prove(id) => prove(&mut next.replicas[at], came_through(world), id),
                    Step::Publish => !configuration_outdated && publish(&mut next, at),
                    Step::Create => create(&mut next),
                    // Beyond the bounds of the model.
                    Step::Store(..) if usize::from(world.made) == AUTHORITIES => return None,
                    Step::Store(held, fulfils) => {
                        let is_written = !secret_outdated && may_write(world, day);
                        if is_written {
                            store(&mut next, held, fulfils);
                        }
                        is_written
                    }
                };
                // What was refused ends the round; so does the last action.
                let last = usize::from(done) + 1 == steps.len();
                next.replicas[at].doing = match next.replicas[at].doing {
                    Doing::Acts {
                        configuration_outdated,
                        secret_outdated,
                        ..
                    } if ok && !last => Doing::Acts {
                        plan,
                        done: done + 1,
                        day,
                        seen: None,
                        way_back: false,
                        configuration_outdated,
                        secret_outdated,
                    },
                    _ => Doing::Nothing,
                };
            }
        }
        Some(next)
    }

    /// Looks at what is served, reads the Secret, decides, and signs unless a client may still come in between.
    fn decides(&mut self, next: &mut World, at: usize, bundles: [Set; ENTRIES], outdated: bool) {
        let world = *next;
        let replica = &mut next.replicas[at];
        replica.known = known(&world, replica);
        let of = replica.known;
        look(replica);
        observe(replica, bundles, of);
        let plan = self.ask(question(&world, replica, bundles));
        let is_way_back = |leaf: &Leaf| leaf.is_way_back(bundles, world.day);
        replica.serving = replica.serving.with_way_back_if(is_way_back);
        let steps = &self.plans[plan];
        let mut done = 0;
        // There is no way back if nobody takes it.
        let way_back =
            world.left.refusals > 0 && replica.served().as_ref().is_some_and(is_way_back);
        let mut seen = None;
        if steps.first() == Some(&Step::Sign) {
            // Nothing comes in between, but for a client.
            if world.left.refusals == 0 {
                sign(replica, replica.served(), way_back, world.day);
                done = 1;
            } else {
                seen = replica.served();
            }
        }
        // It is ready then, and gets calls.
        let is_ready = |leaf: Leaf| bundles.iter().all(|each| each & 1 << leaf.issuer != 0);
        replica.trusted |= world.is_orderly && replica.served().is_some_and(is_ready);
        replica.doing = if steps.len() == usize::from(done) {
            Doing::Nothing
        } else {
            Doing::Acts {
                plan,
                done,
                day: world.day,
                seen,
                way_back: seen.is_some() && way_back,
                configuration_outdated: outdated,
                secret_outdated: false,
            }
        };
    }

    /// Without faults, and with everybody up: does it come to rest, and well?
    fn converges(&mut self, world: &World) -> Result<(), String> {
        let mut world = *world;
        for replica in &mut world.replicas {
            if !replica.up {
                *replica = Replica::FRESH;
            }
        }
        for _ in 0..40 {
            let before = world;
            for at in 0..REPLICAS {
                // Twice through all steps of a round.
                for _ in 0..12 {
                    let Some(next) = self.advance(&world, at) else {
                        return Ok(());
                    };
                    world = next;
                    settle(&mut world);
                }
                while world.replicas[at].doing != Doing::Nothing {
                    let Some(next) = self.advance(&world, at) else {
                        return Ok(());
                    };
                    world = next;
                    settle(&mut world);
                }
                world.view = world.bundles;
                for each in &mut world.replicas {
                    each.refreshed = each.seen;
                    each.held = false;
                }
                settle(&mut world);
            }
            if world == before {
                return is_well(&world);
            }
        }
        Err(format!("it does not come to rest: {world:?}"))
    }
}

fn is_well(world: &World) -> Result<(), String> {
    let Secret::Sound(held) = world.secret else {
        return Err(format!("the Secret is not sound: {:?}", world.secret));
    };
    let well = held.next.is_none()
        && !world.requested
        && world.bundles == [held.bundle(); ENTRIES]
        && world.replicas.iter().all(|replica| {
            let served = replica.served();
            served.is_some_and(|leaf| leaf.issuer == held.ca && leaf.is_valid(world.day))
        });
    if well {
        Ok(())
    } else {
        Err(format!("it comes to rest, but not well: {world:?}"))
    }
}

/// What comes from outside.
fn outside(world: &World) -> Vec<(Move, World)> {
    let mut all = Vec::new();
    if world.left.losses > 0 {
        let mut next = *world;
        next.left.losses -= 1;
        // A replica may write back what it knew before the request.
        next.leaked = 0;
        secret_written(&mut next);
        next.secret = Secret::Missing;
        all.push((Move::SecretDeleted, next));
        if let Secret::Sound(held) = world.secret {
            next.secret = Secret::CutOff(held);
            all.push((Move::SecretCutOff, next));
        }
    }
    if world.left.wipes > 0 {
        for entry in 0..ENTRIES {
            let mut next = *world;
            next.left.wipes -= 1;
            next.bundles[entry] = 0;
            configuration_written(&mut next);
            all.push((Move::BundleWiped, next));
        }
    }
    if world.left.requests > 0
        && let Secret::Sound(held) = world.secret
        && !world.requested
    {
        let mut next = *world;
        next.left.requests -= 1;
        next.leaked = held.bundle();
        next.requested = true;
        secret_written(&mut next);
        all.push((Move::RotationRequested, next));
    }
    all
}

fn known(world: &World, replica: &Replica) -> Option<Held> {
    match world.secret {
        Secret::Sound(held) => Some(held),
        _ => replica.known,
    }
}

/// A client refuses what it was presented. Was that what is served, and is there something to go back to?
fn refuse(world: &World, at: usize) -> Option<World> {
    let serving = world.replicas[at].serving;
    let refused = serving.refused_by_a_client(serving.current()?)?;
    let mut next = *world;
    next.left.refusals = next.left.refusals.checked_sub(1)?;
    next.replicas[at].serving = refused;
    Some(next)
}

/// Takes note of a refusal, as the reconciler does.
fn look(replica: &mut Replica) {
    if let Some(refused) = replica.serving.refused() {
        replica.held = true;
        replica.refreshed &= !(1 << refused.issuer);
        replica.proven &= !(1 << refused.issuer);
    }
    replica.serving = replica.serving.noted();
}

/// As [`Trust::observe`](crate::certs::trust::Trust::observe) does it.
fn observe(replica: &mut Replica, bundles: [Set; ENTRIES], known: Option<Held>) {
    let everywhere = bundles.iter().fold(Set::MAX, |all, each| all & each);
    let candidates = known.map_or(0, |held| held.bundle());
    replica.seen = everywhere & candidates;
    replica.refreshed &= replica.seen;
    replica.proven &= replica.seen;
}

fn question(world: &World, replica: &Replica, bundles: [Set; ENTRIES]) -> Question {
    Question {
        secret: world.secret,
        requested: world.requested,
        known: replica.known,
        bundles,
        served: replica.served(),
        held: replica.held,
        settled: replica.refreshed,
        proven: replica.proven,
        day: world.day,
    }
}

/// Replaces what it has `seen`; gives whether it does.
fn sign(replica: &mut Replica, seen: Option<Leaf>, way_back: bool, day: u8) -> bool {
    let Some(held) = replica.known else {
        return true;
    };
    let leaf = Leaf {
        issuer: held.ca,
        signed: day,
    };
    let is_switch = |before: Leaf| before.issuer != leaf.issuer && !before.is_ending(day);
    let way_back = way_back && seen.is_some_and(is_switch);
    let Some(serving) = replica.serving.replaced(seen.as_ref(), leaf, way_back) else {
        return false;
    };
    // The renewal of a leaf that nobody trusted yet, or the first one, has nothing to lose.
    let lost_nothing = seen.is_none_or(|before| !before.is_valid(day));
    replica.trusted &= !lost_nothing;
    replica.serving = serving;
    true
}

/// Does a call of the API server reach anybody whom it trusts?
fn came_through(world: &World) -> bool {
    world.replicas.iter().any(|replica| {
        let valid = replica.served().filter(|leaf| leaf.is_valid(world.day));
        replica.up && valid.is_some_and(|leaf| world.view[ENTRIES - 1] & 1 << leaf.issuer != 0)
    })
}

fn prove(replica: &mut Replica, came_through: bool, id: u8) -> bool {
    if came_through && replica.refreshed & 1 << id != 0 {
        replica.proven |= 1 << id;
    }
    came_through
}

/// Whoever knows no authority has nothing to write, and that is no failure.
fn publish(world: &mut World, at: usize) -> bool {
    if let Some(known) = world.replicas[at].known {
        world.bundles = [known.bundle(); ENTRIES];
        configuration_written(world);
    }
    true
}

fn create(world: &mut World) -> bool {
    let is_missing = world.secret == Secret::Missing;
    if is_missing {
        world.secret = Secret::Empty;
        secret_written(world);
    }
    is_missing
}

/// Whoever was asleep since it decided does not write.
fn may_write(world: &World, decided: u8) -> bool {
    world.secret != Secret::Missing && world.day == decided
}

fn store(world: &mut World, held: Held, fulfils: bool) {
    world.secret = Secret::Sound(born(held, &mut world.made));
    world.requested &= !fulfils;
    secret_written(world);
}

fn secret_written(world: &mut World) {
    for replica in &mut world.replicas {
        if let Doing::Acts {
            secret_outdated, ..
        } = &mut replica.doing
        {
            *secret_outdated = true;
        }
    }
}

fn configuration_written(world: &mut World) {
    for replica in &mut world.replicas {
        match &mut replica.doing {
            Doing::Read { outdated, .. } => *outdated = true,
            Doing::Acts {
                configuration_outdated,
                ..
            } => *configuration_outdated = true,
            Doing::Nothing => {}
        }
    }
}

fn born(mut held: Held, made: &mut u8) -> Held {
    if held.ca == NEW {
        held.ca = *made;
        *made += 1;
    }
    if held.next == Some(NEW) {
        held.next = Some(*made);
        *made += 1;
    }
    held
}

/// Notes who is trusted now, and puts replicas into an order: which is which does not matter.
fn settle(world: &mut World) {
    let (view, day) = (world.view, world.day);
    for replica in &mut world.replicas {
        let valid = replica.served().filter(|leaf| leaf.is_valid(day));
        replica.trusted &= valid.is_some();
        if let Some(leaf) = valid {
            replica.trusted |= view.iter().all(|bundle| bundle & 1 << leaf.issuer != 0);
        }
    }
}

/// Whom API servers have trusted, or should have, they trust, whatever is in between; what somebody else wiped is not our doing.
fn violation(world: &World) -> Option<String> {
    survivor(world)
        .or_else(|| refusal(world))
        .or_else(|| overwritten(world))
}

/// What a client refused is not presented again before that is noted.
fn overwritten(world: &World) -> Option<String> {
    world.replicas.iter().enumerate().find_map(|(at, replica)| {
        let refused = replica.serving.refused()?;
        let is_back = replica.served()?.issuer == refused.issuer;
        is_back.then(|| format!("replica {at} presents what a client refused, and does not know"))
    })
}

/// Nothing that lay in the Secret when a request was made is trusted once that is fulfilled and its predecessors are
/// pruned: it does not sign any more, nor is it to sign, and what has left the Secret is noted as retired.
fn survivor(world: &World) -> Option<String> {
    let Secret::Sound(held) = world.secret else {
        return None;
    };
    let is_leaked = |id: Id| world.leaked & 1 << id != 0;
    let signs = match held.next {
        // The authority still signs: its successor is not proven yet.
        Some(next) => is_leaked(next),
        None => is_leaked(held.ca),
    };
    let forgotten = world.leaked & !held.bundle() & !held.retired;
    let survives = !world.requested && (signs || forgotten != 0);
    survives.then(|| "what lay in the Secret when a request was made outlives it".to_owned())
}

fn refusal(world: &World) -> Option<String> {
    world.replicas.iter().enumerate().find_map(|(at, replica)| {
        let leaf = replica.served().filter(|_| replica.up && replica.trusted)?;
        let lacks = |bundle: &Set| *bundle != 0 && bundle & 1 << leaf.issuer == 0;
        let refused = world.view.iter().any(lacks);
        refused.then(|| {
            format!("API servers refuse replica {at}, whom they trusted before, or should have")
        })
    })
}

/// Explores all that the bounds allow; with fewer states than `at_least`, something is wrong with the model.
#[track_caller]
fn explore(start: &World, at_least: usize) {
    let mut model = Model::new();
    let mut from: HashMap<World, Option<(World, Move)>> = HashMap::new();
    let mut queue = VecDeque::from([*start]);
    from.insert(*start, None);
    let mut looked = 0;
    while let Some(world) = queue.pop_front() {
        if looked % CONVERGES_EVERY == 0
            && let Err(why) = model.converges(&world)
        {
            panic!("{why}\n{}", story(&model, &from, &world));
        }
        looked += 1;
        for (what, mut next) in model.successors(&world) {
            if let Some(why) = violation(&next) {
                panic!("{why}\n{}{what:?}\n{next:?}", story(&model, &from, &world));
            }
            next.replicas.sort_unstable();
            if let Slot::Vacant(slot) = from.entry(next) {
                slot.insert(Some((world, what)));
                queue.push_back(next);
            }
        }
    }
    println!("{looked} states, {} questions", model.answers.len());
    assert!(looked > at_least, "{looked} states");
}

/// How it came to this: the shortest way.
fn story(model: &Model, from: &HashMap<World, Option<(World, Move)>>, end: &World) -> String {
    let mut lines = Vec::new();
    let mut at = end;
    while let Some(Some((before, what))) = from.get(at) {
        lines.push(match what {
            Move::Advances(replica) => match before.replicas[*replica].doing {
                Doing::Acts { plan, done, .. } => {
                    format!("does {:?}\n", model.plans[plan][usize::from(done)])
                }
                doing => format!("goes on from {doing:?}\n"),
            },
            what => format!("{what:?}\n"),
        });
        at = before;
    }
    lines.into_iter().rev().collect()
}

fn day(day: u8) -> SystemTime {
    UNIX_EPOCH + 20_000 * DAY + DAY * u32::from(day)
}

/// As the chart ships it.
fn empty(left: Bounds) -> World {
    World {
        replicas: [Replica::FRESH; REPLICAS],
        secret: Secret::Empty,
        requested: false,
        leaked: 0,
        bundles: [0; ENTRIES],
        view: [0; ENTRIES],
        made: 0,
        day: 0,
        is_orderly: left.losses == 0 && left.wipes == 0,
        left,
    }
}

/// All is well, and has been for long.
fn steady(replicas: usize, left: Bounds) -> World {
    let held = Held {
        ca: 0,
        next: None,
        previous: [None; 4],
        retired: 0,
    };
    let replica = Replica {
        known: Some(held),
        serving: Serving::only(Leaf {
            issuer: 0,
            signed: 0,
        }),
        seen: 1,
        refreshed: 1,
        trusted: true,
        ..Replica::FRESH
    };
    let mut world = World {
        replicas: [replica; REPLICAS],
        secret: Secret::Sound(held),
        bundles: [1; ENTRIES],
        view: [1; ENTRIES],
        made: 1,
        ..empty(left)
    };
    for gone in replicas..REPLICAS {
        world.replicas[gone] = Replica::DOWN;
    }
    world
}

const NOTHING: Bounds = Bounds {
    starts: 0,
    crashes: 0,
    losses: 0,
    wipes: 0,
    refusals: 0,
    requests: 0,
    days: 0,
};

/// Whether it comes to rest is asked of some states only: it takes a hundred steps.
const CONVERGES_EVERY: usize = 50;

#[test]
fn three_replicas_on_an_empty_secret_make_one_authority() {
    let bounds = Bounds {
        starts: 1,
        crashes: 1,
        ..NOTHING
    };
    explore(&empty(bounds), 900);
}

#[test]
fn a_rotation_with_three_replicas_and_days() {
    let bounds = Bounds {
        requests: 1,
        days: 3,
        ..NOTHING
    };
    explore(&steady(3, bounds), 100_000);
}

#[test]
fn a_rotation_with_three_replicas_and_a_crash() {
    let bounds = Bounds {
        starts: 1,
        crashes: 1,
        requests: 1,
        ..NOTHING
    };
    explore(&steady(3, bounds), 10_000);
}

#[test]
fn what_leaked_with_the_successor_is_not_trusted_in_the_end() {
    let bounds = Bounds {
        requests: 2,
        days: 2,
        ..NOTHING
    };
    explore(&steady(2, bounds), 5_000);
}

#[test]
fn requests_in_a_row_and_replicas_that_die() {
    let bounds = Bounds {
        crashes: 1,
        requests: 2,
        ..NOTHING
    };
    explore(&steady(2, bounds), 4_000);
}

#[test]
fn clients_that_refuse_the_new_certificate_at_any_time() {
    let bounds = Bounds {
        refusals: 2,
        requests: 1,
        days: 3,
        ..NOTHING
    };
    explore(&steady(2, bounds), 10_000);
}

#[test]
fn a_refusal_and_a_wiped_bundle() {
    let bounds = Bounds {
        wipes: 1,
        refusals: 1,
        requests: 1,
        ..NOTHING
    };
    explore(&steady(2, bounds), 10_000);
}

#[test]
fn a_rotation_and_a_lost_secret() {
    let bounds = Bounds {
        losses: 1,
        requests: 1,
        ..NOTHING
    };
    explore(&steady(3, bounds), 10_000);
}

#[test]
fn a_lost_secret_and_replicas_that_know_nothing() {
    let bounds = Bounds {
        starts: 2,
        crashes: 1,
        losses: 1,
        ..NOTHING
    };
    explore(&steady(2, bounds), 10_000);
}

#[test]
fn a_rotation_and_a_wiped_bundle() {
    let bounds = Bounds {
        wipes: 1,
        requests: 1,
        ..NOTHING
    };
    explore(&steady(3, bounds), 10_000);
}

#[test]
#[ignore = "half a minute: `cargo test --lib -- --ignored model`"]
fn everything_that_can_be_lost_together() {
    let bounds = Bounds {
        starts: 1,
        crashes: 1,
        losses: 1,
        wipes: 1,
        ..NOTHING
    };
    explore(&steady(2, bounds), 50_000);
}
