//! A query replica against shards that send what the test says, over the fleet's own links.

#![expect(clippy::unwrap_used, reason = "clippy knows test functions, but not their helpers")]

mod shard;

use std::sync::Arc;
use std::time::Duration;

use proto::common::v1::{Availability, Run};
use proto::inventory::v1::Board;
use proto::query::v1::query_service_client::QueryServiceClient;
use proto::query::v1::{FindStationsRequest, GetTrainRequest, Journey, SearchTrainsRequest, SearchTrainsResponse};
use query::{Dependencies, Options, build};
use ring::ShardId;
use rpc::{Failure, Link, Running, Switchboard, SystemClock};
use shard::{FakeShard, board};
use shard_client::{FixedList, ListedShard, ShardRouter, ShardsOptions};
use timetable::Timetable;
use tonic::Code;

const DATE: &str = "2026-12-01";

/// A replica on the sample timetable, and the shards it follows.
struct Fleet {
    switchboard: Switchboard,
    query: Running,
    shards: Vec<(FakeShard, Running)>,
}

impl Fleet {
    async fn start(shards: usize) -> Self {
        let switchboard = Switchboard::new();
        let mut started = Vec::new();
        // A ring has at least one member; one that does not run sends nothing.
        let list: Vec<ListedShard> = (0..shards.max(1) as u16)
            .map(|number| ListedShard { name: ShardId::numbered(number).to_string(), address: None, weight: 100 })
            .collect();
        for member in &list[..shards] {
            let shard = FakeShard::default();
            let running = shard.component(&member.name).start().await;
            switchboard.connect(running.name(), running.stack());
            started.push((shard, running));
        }
        let options = ShardsOptions { list, ..ShardsOptions::default() };
        let router = ShardRouter::new(&options, &FixedList::new(&options.list).unwrap(), &switchboard).unwrap();
        let dependencies =
            Dependencies { timetable: Arc::new(Timetable::sample()), shards: router, clock: Arc::new(SystemClock) };
        let query = build(Options::default(), dependencies).unwrap().start().await;
        switchboard.connect(query.name(), query.stack());
        Self { switchboard, query, shards: started }
    }

    fn client(&self) -> QueryServiceClient<Link> {
        QueryServiceClient::new(self.switchboard.link("query"))
    }

    async fn search(&self, request: SearchTrainsRequest) -> Result<SearchTrainsResponse, Failure> {
        self.client().search_trains(request).await.map(tonic::Response::into_inner).map_err(Failure::from)
    }

    /// The journey of a train from Beijing West to Shenzhen North, once it is shown at a version or a later one.
    async fn g71_at_version(&self, version: u64) -> Journey {
        tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                let found = self.search(search("北京西", "深圳北")).await.unwrap();
                let g71 = found.journeys.into_iter().find(|journey| train(journey) == "G71").unwrap();
                if g71.version >= version {
                    return g71;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("a board that was sent is shown")
    }

    async fn stop(self) {
        self.query.drain(Duration::ZERO).await;
        self.query.join().await;
        for (shard, running) in self.shards {
            shard.end_streams();
            running.drain(Duration::ZERO).await;
            running.join().await;
        }
    }
}

fn search(from: &str, to: &str) -> SearchTrainsRequest {
    SearchTrainsRequest { from: from.into(), to: to.into(), boarding_date: DATE.into(), ..Default::default() }
}

fn train(journey: &Journey) -> &str {
    &journey.run.as_ref().unwrap().train_code
}

fn g71_second(journey: &Journey) -> Availability {
    *journey.availability.iter().find(|class| class.seat_class == 3).unwrap()
}

#[tokio::test]
async fn a_search_shows_stops_times_fares_and_nothing_before_a_shard_has_told() {
    let fleet = Fleet::start(0).await;
    for (from, to) in
        [("北京西", "深圳北"), ("BXP", "IOQ"), ("beijing xi", "Shenzhenbei"), ("北京", "深圳"), ("beijing", "shenzhen")]
    {
        let found = fleet.search(search(from, to)).await.unwrap();
        let g71 = found.journeys.iter().find(|journey| train(journey) == "G71").expect(from);
        // sample/stops.csv: 07:40 from Beijing West, 17:53 at Shenzhen North, 2,376 km.
        let (board, alight) = (g71.from.as_ref().unwrap(), g71.to.as_ref().unwrap());
        assert_eq!((board.station.as_str(), board.departure.as_str()), ("北京西", "2026-12-01T07:40"));
        assert_eq!((alight.station.as_str(), alight.arrival.as_str()), ("深圳北", "2026-12-01T17:53"));
        assert_eq!((g71.duration_minutes, g71.distance_km), (10 * 60 + 13, 2_376));
        assert!(!g71.on_sale);
        assert_eq!((g71.as_of_ms, g71.version), (0, 0), "unknown is stamped as unknown");
        assert!(g71.availability.iter().all(|class| class.seats == 0 && class.fare_fen > 0), "{g71:?}");
    }
    fleet.stop().await;
}

#[tokio::test]
async fn journeys_come_by_departure_and_pages_join_without_gap_or_repeat() {
    let fleet = Fleet::start(0).await;
    let all = fleet.search(search("北京", "上海")).await.unwrap();
    assert_eq!(all.next_page_token, "");
    assert!(all.journeys.len() >= 3, "the sample has several trains from Beijing to Shanghai");
    let departures: Vec<&str> = all.journeys.iter().map(|j| j.from.as_ref().unwrap().departure.as_str()).collect();
    assert!(departures.is_sorted(), "{departures:?}");

    let mut request = SearchTrainsRequest { page_size: 1, ..search("北京", "上海") };
    let mut paged = Vec::new();
    loop {
        let page = fleet.search(request.clone()).await.unwrap();
        assert!(page.journeys.len() <= 1);
        paged.extend(page.journeys);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(paged, all.journeys);

    let other = SearchTrainsRequest { page_token: request.page_token, ..search("北京西", "深圳北") };
    let refused = fleet.search(other).await.unwrap_err();
    assert_eq!((refused.code, refused.fields[0].0.as_str()), (Code::InvalidArgument, "page_token"));
    fleet.stop().await;
}

#[tokio::test]
async fn only_the_asked_classes_are_shown() {
    let fleet = Fleet::start(0).await;
    let request = SearchTrainsRequest { seat_classes: vec![5], ..search("北京", "上海") };
    let found = fleet.search(request).await.unwrap();
    assert!(!found.journeys.is_empty());
    for journey in &found.journeys {
        let classes: Vec<i32> = journey.availability.iter().map(|class| class.seat_class).collect();
        assert_eq!(classes, [5], "{}", train(journey));
        assert!(!train(journey).starts_with('G'), "high-speed trains have no hard seats");
    }
    fleet.stop().await;
}

#[tokio::test]
async fn a_board_is_shown_exactly_stamped_and_replaced_by_newer_ones_only() {
    let fleet = Fleet::start(2).await;
    let (first, second) = (&fleet.shards[0].0, &fleet.shards[1].0);
    first.send(vec![board("G71", DATE, 18, 1, 7, |from, to| 1_000 - 10 * from - to)], 60_000).await;
    let g71 = fleet.g71_at_version(7).await;
    // From stop 0 to stop 17: 1000 - 17.
    assert_eq!(g71_second(&g71).seats, 983);
    assert!(g71.on_sale);
    assert_eq!(g71.as_of_ms, 60_000, "as old as the shard's last proof");

    // An older board, and one of an owner that was replaced, change nothing; the new owner's board does.
    second.send(vec![board("G71", DATE, 18, 2, 8, |_, _| 5)], 61_000).await;
    assert_eq!(g71_second(&fleet.g71_at_version(8).await).seats, 5);
    first.send(vec![board("G71", DATE, 18, 1, 9, |_, _| 77), board("G72", DATE, 18, 1, 9, |_, _| 1)], 62_000).await;
    first.seen().await;
    let g71 = fleet.g71_at_version(8).await;
    assert_eq!((g71_second(&g71).seats, g71.version, g71.as_of_ms), (5, 8, 61_000));
    fleet.stop().await;
}

#[tokio::test]
async fn a_lost_stream_is_opened_again_and_what_it_said_before_only_ages() {
    let fleet = Fleet::start(1).await;
    let shard = &fleet.shards[0].0;
    shard.send(vec![board("G71", DATE, 18, 1, 7, |_, _| 100)], 60_000).await;
    fleet.g71_at_version(7).await;
    shard.end_streams();
    // The new stream proves later ownership before it has repeated the board: the board does not profit.
    shard.send(vec![], 90_000).await;
    shard.seen().await;
    let g71 = fleet.g71_at_version(7).await;
    assert_eq!((g71_second(&g71).seats, g71.as_of_ms), (100, 60_000));
    shard.send(vec![board("G71", DATE, 18, 1, 8, |_, _| 99)], 91_000).await;
    let g71 = fleet.g71_at_version(8).await;
    assert_eq!((g71_second(&g71).seats, g71.as_of_ms), (99, 91_000));
    fleet.stop().await;
}

#[tokio::test]
async fn wrong_questions_name_the_field_and_what_is_allowed() {
    let fleet = Fleet::start(0).await;
    let refused = |request: SearchTrainsRequest| {
        let search = fleet.search(request);
        async move { search.await.unwrap_err() }
    };
    let unknown = refused(search("北京西", "深圳南北")).await;
    assert_eq!((unknown.code, unknown.fields[0].0.as_str()), (Code::InvalidArgument, "to"));
    assert!(unknown.message.contains("深圳北"), "the nearest name is suggested: {}", unknown.message);
    let typo = refused(search("bejingxi", "深圳北")).await;
    assert_eq!(typo.value("suggestions"), Some("北京西"));
    for (request, field) in [
        (search("", "深圳北"), "from"),
        (search("北京西", &"x".repeat(10_000)), "to"),
        (search("北京", "beijing"), "to"),
        (SearchTrainsRequest { boarding_date: "tomorrow".into(), ..search("北京西", "深圳北") }, "boarding_date"),
        (SearchTrainsRequest { page_size: 501, ..search("北京西", "深圳北") }, "page_size"),
        (SearchTrainsRequest { page_token: "AAAA".into(), ..search("北京西", "深圳北") }, "page_token"),
        (SearchTrainsRequest { seat_classes: vec![42], ..search("北京西", "深圳北") }, "seat_classes"),
    ] {
        let failure = refused(request).await;
        assert_eq!((failure.code, failure.fields[0].0.as_str()), (Code::InvalidArgument, field), "{failure}");
    }
    fleet.stop().await;
}

#[tokio::test]
async fn a_train_is_shown_with_its_stops_and_only_on_days_it_runs() {
    let fleet = Fleet::start(0).await;
    let get = |train_code: &str, service_date: &str, ordinal| {
        let run = Some(Run { train_code: train_code.into(), service_date: service_date.into(), ordinal });
        let mut client = fleet.client();
        async move { client.get_train(GetTrainRequest { run }).await.map(tonic::Response::into_inner) }
    };
    let k598 = get("K598", DATE, 0).await.unwrap();
    assert_eq!(k598.stops.len(), 35);
    assert_eq!((k598.stops[0].arrival.as_str(), k598.stops[34].departure.as_str()), ("", ""));
    assert!(k598.availability.iter().all(|class| class.fare_fen > 0));
    for (code, ordinal) in [("G7777", 1), ("G71", 2)] {
        let failure = Failure::from(get(code, DATE, ordinal).await.unwrap_err());
        assert_eq!((failure.code, failure.reason), (Code::NotFound, "TRAIN_NOT_FOUND"), "{code}");
    }
    let failure = Failure::from(get("g 71", DATE, 1).await.unwrap_err());
    assert_eq!(failure.fields[0].0, "run.train_code");
    fleet.stop().await;
}

#[tokio::test]
async fn stations_are_found_by_the_beginning_of_any_of_their_names() {
    let fleet = Fleet::start(0).await;
    let find = |text: &str, limit| {
        let request = FindStationsRequest { text: text.into(), limit };
        let mut client = fleet.client();
        async move { client.find_stations(request).await.map(|found| found.into_inner().stations) }
    };
    for text in ["深圳北", "IOQ", "shenzhenb", "szb"] {
        let found = find(text, 5).await.unwrap();
        assert_eq!(found[0].telecode, "IOQ", "{text}: {found:?}");
    }
    assert_eq!(find("北京", 1).await.unwrap().len(), 1);
    assert!(find("zzzz", 5).await.unwrap().is_empty());
    let failure = Failure::from(find(" ", 5).await.unwrap_err());
    assert_eq!(failure.fields[0].0, "text");
    fleet.stop().await;
}

#[tokio::test]
async fn a_replica_is_ready_once_every_shard_has_sent_its_boards() {
    let fleet = Fleet::start(2).await;
    assert!(!fleet.query.is_ready());
    let boards: Vec<Board> = vec![board("G71", DATE, 18, 1, 1, |_, _| 1)];
    fleet.shards[0].0.send(boards, 1).await;
    fleet.shards[0].0.seen().await;
    assert!(!fleet.query.is_ready(), "the other shard is missing");
    fleet.shards[1].0.send(vec![], 1).await;
    assert!(tokio::time::timeout(Duration::from_secs(5), fleet.query.ready()).await.unwrap());
    fleet.stop().await;
}
