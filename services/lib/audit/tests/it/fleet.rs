//! Databases with the services' own tables, filled by hand.

use audit::Sources;
use journal_encoding::v1::{Batch, Record};
use prost::Message;
use sha2::{Digest, Sha256};
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, PgPool, SqlitePool};
use uuid::Uuid;

use crate::events::{self, START};

const JOURNAL: [&str; 2] = [
    include_str!("../../../journal/migrations/sqlite/0001_journal.sql"),
    include_str!("../../../journal/migrations/postgres/0001_journal.sql"),
];
const ORDER: [&str; 2] = [
    include_str!("../../../../order/migrations/sqlite/0001_orders.sql"),
    include_str!("../../../../order/migrations/postgres/0001_orders.sql"),
];
const PAYMENT: [&str; 2] = [
    include_str!("../../../../payment/migrations/sqlite/0001_trades.sql"),
    include_str!("../../../../payment/migrations/postgres/0001_trades.sql"),
];
const PROVIDER: [&str; 2] = [
    include_str!("../../../../sandbox-provider/migrations/sqlite/0001_charges.sql"),
    include_str!("../../../../sandbox-provider/migrations/postgres/0001_charges.sql"),
];

/// A database to write by hand.
pub enum Book {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Book {
    /// Runs statements as they are.
    pub async fn run(&self, sql: impl Into<String>) {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.into()));
        match self {
            Self::Sqlite(pool) => drop(sql.execute(pool).await.unwrap()),
            Self::Postgres(pool) => drop(sql.execute(pool).await.unwrap()),
        }
    }

    /// Bytes as a literal.
    fn bytes(&self, bytes: &[u8]) -> String {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Self::Sqlite(_) => format!("x'{hex}'"),
            Self::Postgres(_) => format!("'\\x{hex}'"),
        }
    }
}

/// The four databases of a fleet.
pub struct Fleet {
    pub journal: Book,
    pub order: Book,
    pub payment: Book,
    pub provider: Book,
    pub sources: Sources,
    _folder: tempfile::TempDir,
}

impl Fleet {
    /// Empty databases in SQLite files. Their checks are off, so that what must never be can be planted.
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut opened = Vec::new();
        for (name, tables) in [("journal", JOURNAL), ("order", ORDER), ("payment", PAYMENT), ("provider", PROVIDER)] {
            let path = folder.path().join(format!("{name}.db"));
            let options = SqliteConnectOptions::new()
                .filename(&path)
                .create_if_missing(true)
                .foreign_keys(false)
                .synchronous(SqliteSynchronous::Off)
                .pragma("ignore_check_constraints", "on");
            let book = Book::Sqlite(SqlitePool::connect_with(options).await.unwrap());
            book.run(tables[0]).await;
            opened.push((book, format!("sqlite:{}", path.display())));
        }
        Self::of(opened, folder)
    }

    /// Empty databases on the Postgres server of the tests, where there is one.
    pub async fn postgres() -> Option<Self> {
        let Ok(server) = std::env::var("CHUNYUN_TEST_POSTGRES") else {
            eprintln!("SKIPPED audit on postgres: CHUNYUN_TEST_POSTGRES is not set");
            return None;
        };
        let admin = Book::Postgres(PgPool::connect(&server).await.unwrap());
        let mut opened = Vec::new();
        for (name, tables) in [("journal", JOURNAL), ("order", ORDER), ("payment", PAYMENT), ("provider", PROVIDER)] {
            let database = format!("audit_{name}_{}", Uuid::from_u128(random()).simple());
            admin.run(format!("CREATE DATABASE {database}")).await;
            let url = format!("{}/{database}", server.rsplit_once('/').unwrap().0);
            let book = Book::Postgres(PgPool::connect(&url).await.unwrap());
            book.run(tables[1]).await;
            opened.push((book, url));
        }
        Some(Self::of(opened, tempfile::tempdir().unwrap()))
    }

    fn of(opened: Vec<(Book, String)>, folder: tempfile::TempDir) -> Self {
        let [journal, order, payment, provider] = <[_; 4]>::try_from(opened).ok().unwrap();
        let sources = Sources {
            journals: vec![journal.1],
            order: Some(order.1),
            payment: Some(payment.1),
            provider: Some(provider.1),
            now_ms: None,
        };
        Self { journal: journal.0, order: order.0, payment: payment.0, provider: provider.0, sources, _folder: folder }
    }

    /// Writes a journal of one slot, chained as the journal's documentation says.
    pub async fn write_journal(&self, batches: &[Vec<Record>]) {
        self.write_slot(slot(), batches).await;
    }

    /// The same in a slot of choice.
    pub async fn write_slot(&self, slot: u16, batches: &[Vec<Record>]) {
        let (mut chain, mut tail) = ([0u8; 32], [0u8; 16]);
        for (records, version) in batches.iter().zip(1u64..) {
            let payload = Batch { schema_version: 1, records: records.clone() }.encode_to_vec();
            let batch_id = Uuid::from_u128(u128::from(version) + 7).into_bytes();
            let next = chained(&chain, slot, version, &batch_id, 1, &payload);
            self.journal
                .run(format!(
                    "INSERT INTO slot_batch (slot, version, epoch, time_ms, batch_id, previous_id, chain, payload) \
                     VALUES ({slot}, {version}, 1, {START}, {}, {}, {}, {})",
                    self.journal.bytes(&batch_id),
                    self.journal.bytes(&tail),
                    self.journal.bytes(&next),
                    self.journal.bytes(&payload)
                ))
                .await;
            (chain, tail) = (next, batch_id);
        }
        self.journal
            .run(format!(
                "INSERT INTO slot_head (slot, version, epoch, time_ms, tail, chain) VALUES ({slot}, {}, 1, {START}, {}, {})",
                batches.len(),
                self.journal.bytes(&tail),
                self.journal.bytes(&chain)
            ))
            .await;
    }

    /// Replaces the payload of a batch and leaves all else as it was.
    pub async fn tamper(&self, version: u64, records: Vec<Record>) {
        let payload = Batch { schema_version: 1, records }.encode_to_vec();
        let payload = self.journal.bytes(&payload);
        self.journal.run(format!("UPDATE slot_batch SET payload = {payload} WHERE version = {version}")).await;
    }

    /// A paid order of 100 yuan with one issued ticket on hold `<order>/0`, in every book.
    pub async fn write_paid_order(&self, number: u128) {
        let order = self.order_literals(number);
        let trade = r#"{"attempt":0,"id":"ORDER-0","token":"sandbox-ok","state":"captured","captured_fen":10000}"#;
        self.write_order(number, "confirmed", [10_000, 10_000, 0, 0, 0], &format!("[{trade}]"), "[]").await;
        self.write_ticket(&order.0, "issued", [0, 0], false).await;
        self.write_trade(&order.1, [0, 0]).await;
    }

    /// A paid order whose ticket was given back: 96 yuan have arrived, 4 were kept.
    pub async fn write_refunded_order(&self, number: u128) {
        let order = self.order_literals(number);
        let trade = r#"{"attempt":0,"id":"ORDER-0","token":"sandbox-ok","state":"captured","captured_fen":10000}"#;
        let refund = r#"{"id":"ORDER-r","cause":"0","attempt":0,"amount_fen":9600,"fee_fen":400,"state":"arrived"}"#;
        let sums = [10_000, 0, 400, 9_600, 0];
        self.write_order(number, "refunded", sums, &format!("[{trade}]"), &format!("[{refund}]")).await;
        self.write_ticket(&order.0, "refunded", [400, 9_600], true).await;
        self.write_trade(&order.1, [9_600, 400]).await;
        self.write_refund(&order.1, &format!("{}-r", order.1)).await;
    }

    /// A refund of 96 yuan with a fee of 4, arrived, with its postings, in payment's and the provider's books.
    pub async fn write_refund(&self, order: &str, refund: &str) {
        self.payment
            .run(format!(
                "INSERT INTO refund (refund_id, trade_id, order_id, amount_fen, fee_fen, state, created_at_ms, \
                 succeeded_at_ms) VALUES ('{refund}', '{order}-0', '{order}', 9600, 400, 'succeeded', {START}, {START})"
            ))
            .await;
        self.post(&format!("refund:{refund}"), "refund", order, [0, 10_000, -400, -9_600]).await;
        self.post(&format!("arrival:{refund}"), "arrival", order, [-9_600, 0, 0, 9_600]).await;
        self.provider
            .run(format!(
                "INSERT INTO refund (merchant_refund_id, merchant_trade_id, amount_fen, settle_at_ms, settled_at_ms) \
                 VALUES ('{refund}', '{order}-0', 9600, {START}, {START})"
            ))
            .await;
    }

    /// A posting by its amounts: provider, sales, fees, refunds due.
    pub async fn post(&self, id: &str, kind: &str, order: &str, [provider, sales, fees, due]: [i64; 4]) {
        self.payment
            .run(format!(
                "INSERT INTO ledger_posting (posting_id, kind, order_id, trade_id, at_ms, provider_fen, sales_fen, \
                 fees_fen, refunds_due_fen) \
                 VALUES ('{id}', '{kind}', '{order}', '{order}-0', {START}, {provider}, {sales}, {fees}, {due})"
            ))
            .await;
    }

    /// The order's id as a literal of bytes, and as text.
    fn order_literals(&self, number: u128) -> (String, String) {
        (self.order.bytes(&number.to_be_bytes()), Uuid::from_u128(number).to_string())
    }

    async fn write_order(&self, number: u128, phase: &str, sums: [i64; 5], trades: &str, refunds: &str) {
        let (bytes, text) = self.order_literals(number);
        let [captured, tickets, fees, refunded, refunding] = sums;
        let run = "G1@2026-12-13";
        // As the healthy journal has it: order 3 leaves the train at the middle stop.
        let to = if number == 3 { 1 } else { 2 };
        let leg = format!(
            r#"{{"run":"{run}","class":"second","from":0,"to":{to},"hold":"{text}/0","seats":"confirmed","departs_at_ms":1,"arrives_at_ms":2,"places":[]}}"#
        );
        let body = format!(r#"{{"legs":[{leg}],"trades":{trades},"refunds":{refunds}}}"#).replace("ORDER", &text);
        self.order
            .run(format!(
                "INSERT INTO orders (order_id, account, channel, request, phase, created_at_ms, hard_limit_ms, \
                 paid_at_ms, policy_version, version, total_fen, captured_fen, tickets_fen, fees_fen, refunded_fen, \
                 refunding_fen, body) VALUES ({bytes}, 'a', 1, {bytes}, '{phase}', {START}, {}, {START}, 1, 1, 10000, \
                 {captured}, {tickets}, {fees}, {refunded}, {refunding}, '{body}')",
                START + events::HARD_LIMIT
            ))
            .await;
    }

    async fn write_ticket(&self, order: &str, state: &str, [fee, refund]: [i64; 2], returned: bool) {
        let (live, returned) = (i64::from(state == "issued"), i64::from(returned));
        self.order
            .run(format!(
                "INSERT INTO tickets (order_id, position, leg, passenger, account, state, live, train_code, \
                 service_day, ordinal, departs_at_ms, arrives_at_ms, rush, kind, document, sealed, fare_fen, fee_fen, \
                 refund_fen, seats_returned) VALUES ({order}, 0, 0, 0, 'a', '{state}', {live}, 'G1', 20800, 1, 1, 2, 0, \
                 1, {order}, {order}, 10000, {fee}, {refund}, {returned})"
            ))
            .await;
    }

    async fn write_trade(&self, order: &str, [refunded, fees]: [i64; 2]) {
        self.payment
            .run(format!(
                "INSERT INTO trade (trade_id, order_id, attempt, amount_fen, payment_token, expires_at_ms, state, \
                 submitted, captured_fen, refunded_fen, fees_fen, created_at_ms, captured_at_ms) VALUES ('{order}-0', \
                 '{order}', 0, 10000, 'sandbox-ok', {START}, 'captured', 1, 10000, {refunded}, {fees}, {START}, {START})"
            ))
            .await;
        self.post(&format!("capture:{order}-0"), "capture", order, [10_000, -10_000, 0, 0]).await;
        self.provider
            .run(format!(
                "INSERT INTO charge (merchant_trade_id, provider_charge_id, amount_fen, token, callback_url, \
                 expires_at_ms, state, succeeds, decide_at_ms, closable, decided_at_ms, refunded_fen) \
                 VALUES ('{order}-0', 'ch_{order}', 10000, 'sandbox-ok', '', {START}, 'succeeded', 1, {START}, 1, \
                 {START}, {refunded})"
            ))
            .await;
    }
}

/// The slot of the tests' run, by the published formula.
pub fn slot() -> u16 {
    let run = events::run();
    let mut key = run.train.into_bytes();
    key.push(0);
    key.extend_from_slice(&run.service_date.to_le_bytes());
    key.push(run.ordinal as u8);
    (xxhash_rust::xxh3::xxh3_64(&key) % 1_024) as u16
}

fn chained(last: &[u8; 32], slot: u16, version: u64, batch_id: &[u8; 16], epoch: u64, payload: &[u8]) -> [u8; 32] {
    let mut bytes = last.to_vec();
    bytes.extend(slot.to_be_bytes());
    bytes.extend(version.to_be_bytes());
    bytes.extend(batch_id);
    bytes.extend(epoch.to_be_bytes());
    bytes.extend(payload);
    Sha256::digest(&bytes).into()
}

/// A number no other test process has.
fn random() -> u128 {
    let folder = tempfile::tempdir().unwrap();
    let digest = Sha256::digest(folder.path().to_string_lossy().as_bytes());
    u128::from_be_bytes(digest[..16].try_into().unwrap()) ^ u128::from(std::process::id())
}
