use domain::{Run, SeatClass, ServiceDate};
use indicatif::{ProgressBar, ProgressStyle};
use proto::common::v1 as wire;
use proto::gateway::v1 as gateway;
use serde_json::json;

use super::{ClientError, Target, render};

/// Gives back every ticket of a cancelled run, or of a class withdrawn from it
///
/// In full and without a fee; unpaid orders for it end. Safe to repeat: it goes on where it ended.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  chunyun close-sale G71@2026-12-01 --cancelled && chunyun refund-run G71@2026-12-01\n  \
                        chunyun refund-run G71@2026-12-01 --class first --json"
)]
pub struct RefundRun {
    /// The run, such as G71@2026-12-01
    run: Run,
    /// Only this class
    #[arg(long)]
    class: Option<SeatClass>,
}

/// Compares a day of the books with the payment provider's statement
///
/// Changes nothing: differences are listed, for people to settle.
#[derive(Debug, clap::Args)]
pub struct Reconcile {
    /// The day in UTC
    date: ServiceDate,
}

/// `chunyun refund-run`: with progress while it goes, and a report.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn refund_run(target: &Target, command: &RefundRun) -> Result<(), ClientError> {
    let run = wire::Run {
        train_code: command.run.train.to_string(),
        service_date: command.run.date.to_string(),
        ordinal: u32::from(command.run.ordinal),
    };
    let seat_class = command.class.map_or(0, |class| i32::from(class.code()));
    let request = gateway::RefundRunRequest { run: Some(run), seat_class };
    let mut reports = target.connect().await?.operator().refund_run(request).await?.into_inner();
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("refunding {bar:40} {pos}/{len} orders")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let mut last = gateway::RefundRunResponse::default();
    while let Some(report) = reports.message().await? {
        bar.set_length(u64::from(report.orders_total));
        bar.set_position(u64::from(report.orders_done));
        last = report;
    }
    bar.finish_and_clear();
    if target.json {
        crate::output::document(&json!({
            "run": command.run.to_string(),
            "orders": last.orders_done,
            "tickets_refunded": last.tickets_refunded,
            "refund_fen": last.refund_fen,
            "orders_ended": last.orders_ended,
            "orders_failed": last.orders_failed,
        }));
        return Ok(());
    }
    let mut table = render::table(["run", "orders", "tickets given back", "goes back", "unpaid ended", "to repeat"]);
    table.add_row([
        command.run.to_string(),
        last.orders_done.to_string(),
        last.tickets_refunded.to_string(),
        render::yuan(last.refund_fen),
        last.orders_ended.to_string(),
        last.orders_failed.to_string(),
    ]);
    render::numbers(&mut table, 1..6);
    crate::output::line(&table.to_string());
    Ok(())
}

/// `chunyun reconcile`: prints the differences.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn reconcile(target: &Target, command: &Reconcile) -> Result<(), ClientError> {
    let request = gateway::ReconcileRequest { date: command.date.to_string() };
    let mut lines = target.connect().await?.operator().reconcile(request).await?.into_inner();
    let bar = ProgressBar::new_spinner().with_message("reconciling");
    let mut differences = Vec::new();
    while let Some(line) = lines.message().await? {
        bar.tick();
        differences.push(line);
    }
    bar.finish_and_clear();
    if target.json {
        let of = |line: &gateway::ReconcileResponse| json!({ "id": line.id, "ours_fen": line.ours_fen, "theirs_fen": line.theirs_fen });
        let differences: Vec<_> = differences.iter().map(of).collect();
        crate::output::document(&json!({ "date": command.date.to_string(), "differences": differences }));
        return Ok(());
    }
    if differences.is_empty() {
        crate::output::line(&format!("{}: the books and the statement agree", command.date));
        return Ok(());
    }
    let fen = |fen: Option<i64>| fen.map_or_else(|| "-".to_owned(), render::yuan);
    let mut table = render::table(["operation", "ours", "the provider's"]);
    for line in differences {
        table.add_row([line.id, fen(line.ours_fen), fen(line.theirs_fen)]);
    }
    render::numbers(&mut table, 1..3);
    crate::output::line(&table.to_string());
    Ok(())
}
