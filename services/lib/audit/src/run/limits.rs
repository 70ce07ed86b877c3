//! Quotas, allotments and protection, as the comments of the journal's encoding define them.

use std::collections::BTreeMap;

use journal_encoding::v1;
use journal_encoding::v1::quota::Kind;

use super::Stop;
use super::class::Class;

/// One passenger's journey, as quotas count it.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    pub class: u32,
    pub from: u32,
    pub to: u32,
    /// Whether it has a place on its way.
    pub seated: bool,
}

/// The policy in force and how much of it is used.
pub struct Limits {
    policy: v1::QuotaPolicy,
    /// Live tickets that count for each quota.
    used: Vec<u32>,
}

/// Who asks for how many tickets over what.
#[derive(Clone, Copy)]
pub struct Asked {
    pub ticket: Ticket,
    pub channel: u32,
    pub now_ms: i64,
    pub wanted: u32,
}

impl Limits {
    /// A policy of which nothing is used.
    pub fn new(policy: v1::QuotaPolicy) -> Self {
        Self { used: vec![0; policy.quotas.len()], policy }
    }

    /// Counts a ticket that was sold.
    pub fn add(&mut self, ticket: &Ticket) {
        let quotas = self.policy.quotas.iter().zip(&mut self.used);
        for (_, used) in quotas.filter(|(quota, _)| counts(quota, ticket)) {
            *used += 1;
        }
    }

    /// Counts a ticket that was given back.
    pub fn remove(&mut self, ticket: &Ticket) {
        let quotas = self.policy.quotas.iter().zip(&mut self.used);
        for (_, used) in quotas.filter(|(quota, _)| counts(quota, ticket)) {
            *used = used.saturating_sub(1);
        }
    }

    /// Every moment at which a limit changes by itself.
    pub fn moments(&self) -> impl Iterator<Item = i64> {
        let quotas = self.policy.quotas.iter();
        let quotas = quotas.flat_map(|quota| quota.steps.iter().map(|step| step.from_ms).chain([quota.until_ms]));
        let allotments =
            self.policy.allotments.iter().flat_map(|allotment| allotment.steps.iter().map(|step| step.from_ms));
        let protections = self.policy.protections.iter();
        quotas
            .chain(allotments)
            .chain(protections.flat_map(|protection| protection.steps.iter().map(|step| step.from_ms)))
    }

    /// The limits that a hold's parts, counted and taken already, have passed.
    pub fn passed(
        &self,
        classes: &BTreeMap<u32, Class>,
        stops: &[Stop],
        parts: &[v1::Part],
        channel: u32,
        now_ms: i64,
    ) -> Vec<String> {
        let mut passed = Vec::new();
        for ticket in super::holds::tickets(parts) {
            // Nothing more is wanted: what is taken must be within what was allowed.
            let asked = Asked { ticket, channel, now_ms, wanted: 0 };
            passed.extend(self.first_in_the_way(classes, stops, &asked, ticket.seated));
        }
        for part in parts.iter().filter(|part| part.allotment != 0) {
            passed.extend(self.overdrawn(classes, part, channel, now_ms));
        }
        passed.sort_unstable();
        passed.dedup();
        passed
    }

    /// The first limit that keeps so many more tickets from being sold; none when they may be.
    pub fn first_in_the_way(
        &self,
        classes: &BTreeMap<u32, Class>,
        stops: &[Stop],
        asked: &Asked,
        seated: bool,
    ) -> Option<String> {
        let quotas = self.policy.quotas.iter().zip(&self.used);
        let quota = quotas.filter_map(|(quota, used)| quota_in_the_way(quota, *used, classes, asked, seated)).next();
        if !seated {
            return quota;
        }
        quota.or_else(|| self.allotment_in_the_way(classes, asked)).or_else(|| self.protection_in_the_way(stops, asked))
    }

    /// Places set aside for other channels.
    fn allotment_in_the_way(&self, classes: &BTreeMap<u32, Class>, asked: &Asked) -> Option<String> {
        let class = classes.get(&asked.ticket.class)?;
        let others = || {
            let of_class = self.policy.allotments.iter().filter(|allotment| allotment.seat_class == asked.ticket.class);
            of_class.filter(|allotment| allotment.channel != asked.channel)
        };
        others().next()?;
        let full = (asked.ticket.from..asked.ticket.to).find(|&segment| {
            let there = others().filter(|allotment| allotment.from <= segment && segment < allotment.to);
            let aside: u32 = there.map(|allotment| not_drawn(allotment, class, segment, asked.now_ms)).sum();
            aside > 0 && class.free(segment as usize) < aside + asked.wanted
        });
        full.map(|segment| format!("what is set aside for other channels on segment {segment}"))
    }

    fn protection_in_the_way(&self, stops: &[Stop], asked: &Asked) -> Option<String> {
        let ticket = &asked.ticket;
        let protection = self.policy.protections.iter().find(|protection| protection.seat_class == ticket.class)?;
        let step = protection.steps.iter().take_while(|step| step.from_ms <= asked.now_ms).last()?;
        let prices = step.bid_prices.get(ticket.from as usize..ticket.to as usize)?;
        let price: u64 = prices.iter().map(|&price| u64::from(price)).sum();
        let value = if step.values.is_empty() {
            let km = |stop: u32| stops.get(stop as usize).map_or(0, |stop| stop.km);
            u64::from(km(ticket.to).saturating_sub(km(ticket.from)))
        } else {
            let intervals =
                (0..stops.len() as u32).flat_map(|from| (from + 1..stops.len() as u32).map(move |to| (from, to)));
            let index = intervals.into_iter().position(|interval| interval == (ticket.from, ticket.to))?;
            u64::from(step.values.get(index).copied().unwrap_or(0))
        };
        (value < price).then(|| format!("the protection of class {}: worth {value}, asked {price}", ticket.class))
    }

    /// A part that was drawn from an allotment must be the channel's own, and within it.
    fn overdrawn(&self, classes: &BTreeMap<u32, Class>, part: &v1::Part, channel: u32, now_ms: i64) -> Option<String> {
        if part.allotment != channel {
            return Some(format!("channel {}'s allotment, sold by channel {channel}", part.allotment));
        }
        let class = classes.get(&part.seat_class)?;
        let own = self
            .policy
            .allotments
            .iter()
            .filter(|allotment| allotment.channel == channel && allotment.seat_class == part.seat_class);
        let mut shared = own.flat_map(|allotment| {
            (allotment.from.max(part.from)..allotment.to.min(part.to)).map(move |segment| (allotment, segment))
        });
        let over = shared.find(|(allotment, segment)| {
            class.drawn(channel, *segment as usize) > step_at(&allotment.steps, now_ms).unwrap_or(0)
        });
        over.map(|(_, segment)| format!("channel {channel}'s allotment on segment {segment}"))
    }
}

fn quota_in_the_way(
    quota: &v1::Quota,
    used: u32,
    classes: &BTreeMap<u32, Class>,
    asked: &Asked,
    seated: bool,
) -> Option<String> {
    let ticket = &asked.ticket;
    let concerns = quota.seat_class == 0 || quota.seat_class == ticket.class;
    let over = quota.until_ms != 0 && quota.until_ms <= asked.now_ms;
    if !concerns || over {
        return None;
    }
    let limit = step_at(&quota.steps, asked.now_ms)?;
    let within = quota.from <= ticket.from && ticket.to <= quota.to;
    let section = format!("of section {} to {}", quota.from, quota.to);
    match quota.kind() {
        Kind::WithinAtMost if within => {
            (used + asked.wanted > limit).then(|| format!("the quota of {limit} within, {section}"))
        }
        Kind::BoardingsAtMost if quota.from == ticket.from => {
            (used + asked.wanted > limit).then(|| format!("the quota of {limit} boardings, {section}"))
        }
        Kind::KeptAtLeast if seated && within && (quota.from, quota.to) != (ticket.from, ticket.to) => {
            let missing = limit.saturating_sub(used);
            let free = |segment: u32| -> u32 {
                let concerned =
                    classes.iter().filter(|(class, _)| quota.seat_class == 0 || quota.seat_class == **class);
                concerned.map(|(_, class)| class.free(segment as usize)).sum()
            };
            let short = (ticket.from..ticket.to).find(|&segment| free(segment) < missing + asked.wanted);
            short.map(|segment| format!("the {limit} places kept, {section}, on segment {segment}"))
        }
        _ => None,
    }
}

/// Whether a ticket counts for a quota.
fn counts(quota: &v1::Quota, ticket: &Ticket) -> bool {
    let concerns = quota.seat_class == 0 || quota.seat_class == ticket.class;
    concerns
        && match quota.kind() {
            Kind::WithinAtMost => quota.from <= ticket.from && ticket.to <= quota.to,
            Kind::BoardingsAtMost => quota.from == ticket.from,
            Kind::KeptAtLeast => ticket.seated && ticket.from <= quota.from && quota.to <= ticket.to,
            Kind::Unspecified => false,
        }
}

/// The number in force at a moment; none before the first step.
fn step_at(steps: &[v1::QuotaStep], now_ms: i64) -> Option<u32> {
    steps.iter().take_while(|step| step.from_ms <= now_ms).last().map(|step| step.places)
}

/// What an allotment sets aside on a segment beyond what its channel has drawn.
fn not_drawn(allotment: &v1::Allotment, class: &Class, segment: u32, now_ms: i64) -> u32 {
    let places = step_at(&allotment.steps, now_ms).unwrap_or(0);
    places.saturating_sub(class.drawn(allotment.channel, segment as usize))
}
