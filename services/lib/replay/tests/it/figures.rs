use replay::{Comparison, GravityDemand, PolicyFigures, PolicyFile, Reference, Request, Scenario};
use timetable::Timetable;

const LOADS: [f64; 4] = [0.9, 1.1, 1.5, 3.0];

/// All rules, with few reviews: what they sell must be sold exactly, not well.
fn quick_policies() -> PolicyFile {
    PolicyFile::parse(
        r#"
        [[policy]]
        name = "random seat"
        rule = "random_seat"
        [[policy]]
        name = "best fit"
        rule = "best_fit"
        [[policy]]
        name = "seats changed"
        rule = "best_fit"
        seat_change = true
        [[policy]]
        name = "kept sections"
        rule = "kept_sections"
        sections = 6
        release = [{ passed_percent = 0, kept_percent = 100 }, { passed_percent = 90, kept_percent = 0 }]
        [[policy]]
        name = "by segments"
        rule = "computed_protection"
        reviews = 5
        samples = 2
        worth = "segments"
        [[policy]]
        name = "by fare"
        rule = "computed_protection"
        reviews = 5
        samples = 2
        worth = "fare"
        seat_change = true
        "#,
    )
    .expect("the policies of these tests are valid")
}

fn line<'a>(comparison: &'a Comparison, policy: &str) -> &'a PolicyFigures {
    comparison.policies.iter().find(|line| line.policy == policy).expect("a policy of the comparison")
}

fn compare(scenario: &Scenario, policies: &PolicyFile) -> Comparison {
    Comparison::of(scenario, policies, 1).expect("no seat is sold twice, and no invariant of the kernel breaks")
}

/// The shares that the railway's reference demand must be filled to, in percent.
#[track_caller]
fn assert_reference_fill(name: &str, best_fit: f64, protected: f64) {
    let scenario = Reference::by_name(name).expect("a reference").scenario(1.5, 2026);
    let comparison = compare(&scenario, &PolicyFile::default());
    let fill = |policy| 100.0 * comparison.fill(&line(&comparison, policy).figures);
    let (fitted, computed) = (fill("best fit"), fill("computed protection"));
    assert!(fitted >= best_fit, "best fit {fitted:.2} %");
    assert!(computed >= protected, "computed protection {computed:.2} %");
    assert!(fill("random seat") < fitted && computed <= 100.0 * comparison.bound_fill());
}

#[test]
fn seventeen_stops_fill_as_promised() {
    assert_reference_fill("rail-17", 83.0, 88.0);
}

#[test]
fn thirty_five_stops_fill_as_promised() {
    assert_reference_fill("rail-35", 79.0, 84.5);
}

#[test]
fn no_policy_is_above_the_bound_in_any_measure() {
    let policies = quick_policies();
    let references = Reference::ALL.into_iter().flat_map(|reference| LOADS.map(|load| reference.scenario(load, 7)));
    let timetable = Timetable::sample();
    let demand = GravityDemand::new(&timetable, "2026-12-01".parse().unwrap());
    let trains = (0..6).map(|rank| demand.scenario(rank, 1.0, 7).unwrap());
    for scenario in references.chain(trains) {
        let comparison = compare(&scenario, &policies);
        let bound = comparison.bound;
        for line in &comparison.policies {
            let (name, policy, figures) = (&scenario.name, &line.policy, &line.figures);
            assert!(figures.passengers <= bound.passengers, "{name}, {policy}: passengers");
            assert!(figures.seat_segments <= bound.seat_segments, "{name}, {policy}: seat-segments");
            assert!(figures.seat_km <= bound.seat_km, "{name}, {policy}: seat-km");
            assert!(figures.revenue_fen <= bound.revenue_fen, "{name}, {policy}: revenue");
            let refused: u64 = figures.refused.values().sum();
            assert_eq!(figures.requests_served + refused, comparison.requests, "{name}, {policy}");
        }
        assert!(bound.seat_segments <= comparison.seat_segments, "{}", scenario.name);
    }
}

#[test]
fn the_reference_is_drawn_as_described() {
    let scenario = Reference::by_name("rail-17").unwrap().scenario(1.5, 3);
    assert_eq!((scenario.plan.stops.len(), scenario.seat_segments()), (17, 16_000));
    let segments: u64 = scenario.requests.iter().map(|request| u64::from(request.interval.segments())).sum();
    // Until 24,000 seat-segments are asked for: the last request may go past it by less than one train's length.
    assert!((24_000..24_016).contains(&segments), "{segments}");
    let share = |count: fn(&Request) -> bool| {
        scenario.requests.iter().filter(|request| count(request)).count() as f64 / scenario.requests.len() as f64
    };
    // Weights 6, 4, 4, 4, 6 and twelve 1s sum to 36 with squares 132: pairs weigh (36^2 - 132) / 2 = 582. End to end weighs 36,
    // boarding at the origin 6 * 30 = 180.
    let through = share(|request| request.interval.segments() == 16);
    assert!((through - 36.0 / 582.0).abs() < 0.015, "{through}");
    let from_origin = share(|request| request.interval.from() == 0);
    assert!((from_origin - 180.0 / 582.0).abs() < 0.03, "{from_origin}");
    let cancelled = share(|request| request.cancel_at.is_some());
    assert!((cancelled - 0.25).abs() < 0.03, "{cancelled}");
    assert!(Reference::by_name("rail-16").is_none());
}

#[test]
fn the_same_seed_gives_the_same_figures() {
    let reference = Reference::by_name("uniform-17").unwrap();
    let policies = quick_policies();
    let once = compare(&reference.scenario(1.5, 11), &policies);
    assert_eq!(once, compare(&reference.scenario(1.5, 11), &policies));
    assert_ne!(once, compare(&reference.scenario(1.5, 12), &policies));
}

#[test]
fn protection_by_fare_earns_more_than_none() {
    let timetable = Timetable::sample();
    let demand = GravityDemand::new(&timetable, "2026-12-01".parse().unwrap());
    let train = timetable.train_by_code("G71".parse().unwrap()).unwrap();
    let comparison = compare(&demand.train_scenario(train, 1.5, 5).unwrap(), &quick_policies());
    let revenue = |policy| line(&comparison, policy).figures.revenue_fen;
    assert!(revenue("by fare") > revenue("best fit"));
}
