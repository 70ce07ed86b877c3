use domain::{Channel, Interval, SeatClass, StopIndex, Time};

use crate::class_state::ClassState;
use crate::plan::{Plan, PlanStop};
use crate::policy::{Allotment, Protection, ProtectionStep, Quota, QuotaKind, QuotaPolicy, QuotaStep};
use crate::refusal::Rule;

/// How much of the policy in force is used: the policy itself stands in the run's plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Limits {
    /// Live tickets that count for each quota of the policy.
    used: Vec<u32>,
}

/// One passenger's ticket, as quotas count it: a seat change on the way is one ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub class: SeatClass,
    pub journey: Interval,
    /// Whether it has a place on its way; a standing ticket has none.
    pub seated: bool,
}

/// A question to the limits.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub plan: &'a Plan,
    pub classes: &'a [ClassState],
    pub class: &'a ClassState,
    pub interval: Interval,
    pub channel: Channel,
    pub at: Time,
}

/// How many more tickets may be sold, and what the limit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    pub tickets: u32,
    pub cause: Cause,
}

/// What limits a sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A rule that protects seats.
    Rule(Rule),
    /// Places set aside for other channels.
    Allotments,
}

impl Limits {
    /// The limits of a policy, with the tickets that are live when it comes into force.
    pub fn new(policy: &QuotaPolicy, live: impl Iterator<Item = Ticket>) -> Self {
        let mut limits = Self { used: vec![0; policy.quotas.len()] };
        live.for_each(|ticket| limits.add(policy, ticket));
        limits
    }

    /// Counts a ticket that was sold.
    pub fn add(&mut self, policy: &QuotaPolicy, ticket: Ticket) {
        self.counters(policy, ticket).for_each(|used| *used += 1);
    }

    /// Counts a ticket that was given back.
    pub fn remove(&mut self, policy: &QuotaPolicy, ticket: Ticket) {
        self.counters(policy, ticket).for_each(|used| *used -= 1);
    }

    fn counters(&mut self, policy: &QuotaPolicy, ticket: Ticket) -> impl Iterator<Item = &mut u32> {
        let quotas = policy.quotas.iter().zip(&mut self.used);
        quotas.filter(move |(quota, _)| counts(quota, ticket)).map(|(_, used)| used)
    }

    /// What limits the sale of seats; none when nothing does. It is not asked whether the seats are free.
    pub fn seats(&self, asked: &Asked<'_>) -> Option<Bound> {
        let quotas = self.quota_bounds(asked, true);
        quotas.chain(self.protection_bound(asked)).chain(self.allotment_bound(asked)).min_by_key(|bound| bound.tickets)
    }

    /// What limits the sale of standing tickets: places are not kept for standing, but tickets are counted.
    pub fn standing(&self, asked: &Asked<'_>) -> Option<Bound> {
        self.quota_bounds(asked, false).min_by_key(|bound| bound.tickets)
    }

    /// How many of a party's tickets its channel's allotments have room for.
    pub fn drawn_from_allotment(&self, asked: &Asked<'_>) -> u16 {
        let own = asked.plan.quotas.allotments.iter().filter(|allotment| allotment.channel == asked.channel);
        let shared = own.flat_map(|allotment| {
            let segments = shared_segments(allotment, asked);
            segments.map(move |segment| not_drawn(allotment, asked, segment))
        });
        shared.min().unwrap_or(0)
    }

    /// The first moment after `asked.at` at which this many seats may be sold, as things stand.
    pub fn relaxes(&self, asked: &Asked<'_>, tickets: u32) -> Option<Time> {
        let mut moments: Vec<Time> = moments(&asked.plan.quotas).filter(|&moment| moment > asked.at).collect();
        moments.sort_unstable();
        moments.into_iter().find(|&at| self.seats(&Asked { at, ..*asked }).is_none_or(|bound| bound.tickets >= tickets))
    }

    fn quota_bounds(&self, asked: &Asked<'_>, seated: bool) -> impl Iterator<Item = Bound> {
        let quotas = asked.plan.quotas.quotas.iter().zip(&self.used).enumerate();
        quotas.filter_map(move |(index, (quota, &used))| {
            let limit = limit_at(quota, asked)?;
            let tickets = match quota.kind {
                QuotaKind::WithinAtMost if quota.section.contains(asked.interval) => limit.saturating_sub(used),
                QuotaKind::BoardingsAtMost if quota.section.from() == asked.interval.from() => {
                    limit.saturating_sub(used)
                }
                QuotaKind::KeptAtLeast if seated && is_strict_part(asked.interval, quota.section) => {
                    beside_kept(quota, asked, limit.saturating_sub(used))
                }
                _ => return None,
            };
            let rule = Rule::Quota { index: index as u16, kind: quota.kind };
            Some(Bound { tickets, cause: Cause::Rule(rule) })
        })
    }

    fn allotment_bound(&self, asked: &Asked<'_>) -> Option<Bound> {
        let others = || asked.plan.quotas.allotments.iter().filter(|allotment| allotment.channel != asked.channel);
        let left = |segment: StopIndex| {
            let on_segment = others().filter(|allotment| shared_segments(allotment, asked).contains(&segment));
            let aside: u32 = on_segment.map(|allotment| u32::from(not_drawn(allotment, asked, segment))).sum();
            (aside > 0).then(|| u32::from(asked.class.free[usize::from(segment)]).saturating_sub(aside))
        };
        others().next()?;
        let tickets = (asked.interval.from()..asked.interval.to()).filter_map(left).min()?;
        Some(Bound { tickets, cause: Cause::Allotments })
    }

    fn protection_bound(&self, asked: &Asked<'_>) -> Option<Bound> {
        let protection =
            asked.plan.quotas.protections.iter().find(|protection| protection.class == asked.class.class)?;
        let step = protection_at(protection, asked.at)?;
        if step.bid_prices.is_empty() {
            return None;
        }
        let value = value_of(step, asked.interval, &asked.plan.stops);
        let prices = &step.bid_prices[crate::class_state::range(asked.interval)];
        let price = prices.iter().map(|&price| u64::from(price)).sum();
        (value < price).then_some(Bound { tickets: 0, cause: Cause::Rule(Rule::BidPrice { value, price }) })
    }
}

/// Every moment at which some limit changes by itself.
pub(crate) fn moments(policy: &QuotaPolicy) -> impl Iterator<Item = Time> + '_ {
    let quotas = policy.quotas.iter();
    let quotas = quotas.flat_map(|quota| quota.steps.iter().map(|step| step.from).chain(quota.until));
    let allotments = policy.allotments.iter().flat_map(|allotment| allotment.steps.iter().map(|step| step.from));
    let protections = policy.protections.iter();
    quotas.chain(allotments).chain(protections.flat_map(|protection| protection.steps.iter().map(|step| step.from)))
}

/// Whether a ticket counts for a quota, as something used up or as a kept place that was sold.
fn counts(quota: &Quota, ticket: Ticket) -> bool {
    quota.class.is_none_or(|class| class == ticket.class)
        && match quota.kind {
            QuotaKind::WithinAtMost => quota.section.contains(ticket.journey),
            QuotaKind::BoardingsAtMost => quota.section.from() == ticket.journey.from(),
            QuotaKind::KeptAtLeast => ticket.seated && ticket.journey.contains(quota.section),
        }
}

fn is_strict_part(interval: Interval, section: Interval) -> bool {
    section.contains(interval) && section != interval
}

/// What a quota's limit is at a moment; none while it does not bind or for another class.
fn limit_at(quota: &Quota, asked: &Asked<'_>) -> Option<u32> {
    let concerns = quota.class.is_none_or(|class| class == asked.class.class);
    let over = quota.until.is_some_and(|until| until <= asked.at);
    if concerns && !over { step_at(&quota.steps, asked.at).map(u32::from) } else { None }
}

/// The number in force at a moment; none before the first step.
fn step_at(steps: &[QuotaStep], at: Time) -> Option<u16> {
    steps.iter().take_while(|step| step.from <= at).last().map(|step| step.places)
}

fn protection_at(protection: &Protection, at: Time) -> Option<&ProtectionStep> {
    protection.steps.iter().take_while(|step| step.from <= at).last()
}

/// What is left beside kept places that are not sold yet, on the scarcest segment.
fn beside_kept(quota: &Quota, asked: &Asked<'_>, missing: u32) -> u32 {
    let free = |segment: usize| match quota.class {
        Some(_) => u32::from(asked.class.free[segment]),
        None => asked.classes.iter().map(|class| u32::from(class.free[segment])).sum(),
    };
    crate::class_state::range(asked.interval).map(|segment| free(segment).saturating_sub(missing)).min().unwrap_or(0)
}

/// The segments that an allotment of the asked class shares with the interval.
fn shared_segments(allotment: &Allotment, asked: &Asked<'_>) -> std::ops::Range<StopIndex> {
    if allotment.class != asked.class.class || !allotment.section.overlaps(asked.interval) {
        return 0..0;
    }
    allotment.section.from().max(asked.interval.from())..allotment.section.to().min(asked.interval.to())
}

/// What an allotment sets aside on a segment beyond what its channel has drawn.
fn not_drawn(allotment: &Allotment, asked: &Asked<'_>, segment: StopIndex) -> u16 {
    let places = step_at(&allotment.steps, asked.at).unwrap_or(0);
    places.saturating_sub(asked.class.drawn(allotment.channel, segment))
}

fn value_of(step: &ProtectionStep, interval: Interval, stops: &[PlanStop]) -> u64 {
    if step.values.is_empty() {
        let km = |stop: StopIndex| u64::from(stops[usize::from(stop)].km);
        return km(interval.to()) - km(interval.from());
    }
    u64::from(step.values[interval_index(interval, stops.len())])
}

impl QuotaPolicy {
    /// Whether nothing is limited, now or later.
    pub(crate) fn is_empty(&self) -> bool {
        self.quotas.is_empty() && self.allotments.is_empty() && self.protections.is_empty()
    }
}

/// The position of an interval in the order of [`Interval::all`].
pub(crate) fn interval_index(interval: Interval, stops: usize) -> usize {
    let from = usize::from(interval.from());
    // Each earlier boarding stop `f` has `stops - 1 - f` intervals.
    let before = from * (2 * stops - from - 1) / 2;
    before + usize::from(interval.segments()) - 1
}
